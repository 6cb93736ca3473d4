#include "apps/serve.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

#include "apps/backends.h"
#include "apps/listen_options.h"
#include "apps/loaded_model.h"
#include "apps/options.h"
#include "apps/signals.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine.h"
#include "server/server.h"

namespace erne::apps {
namespace {

constexpr char kServeUsage[] =
    "erne serve --model DIR [flags]\n"
    "\n"
    "Serves a model over the OpenAI API. SIGTERM or SIGINT finishes open requests and ends; a\n"
    "second one, or one while the model is being loaded, ends at once. Flags are FastDeploy's\n"
    "where they mean the same; - and _ are one.\n"
    "\n"
    "Ends with 0 when told to, 1 where it cannot start, 2 for wrong flags, 3 where the engine or "
    "its\n"
    "device failed while serving: requests end with an error, and a supervisor starts it again.\n";
constexpr int kEngineFailed = 3;

// A connection is an open file, and a shell's usual limit of 1,024 is below --max-concurrency's
// default.
void allow_many_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// What large requests took goes back to the system once they are done: large buffers are mapped one
// by one (a fixed threshold; glibc's own grows to 32 MB), and few heaps hold the small pieces.
void keep_heaps_small() {
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_ARENA_MAX, 4);
}

server::SamplingDefaults sampling_defaults(const model::GenerationConfig& generation) {
  server::SamplingDefaults out;
  out.temperature = static_cast<float>(generation.temperature.value_or(out.temperature));
  out.top_p = static_cast<float>(generation.top_p.value_or(out.top_p));
  out.top_k = generation.top_k.value_or(out.top_k);
  out.repetition_penalty =
      static_cast<float>(generation.repetition_penalty.value_or(out.repetition_penalty));
  return out;
}

// Unless told: half of what KV leaves of the host's memory, which it takes as it is used; the other
// half is for what estimates miss and allocators round.
size_t request_memory(const ServeOptions& options, const LoadedModel& loaded) {
  constexpr size_t kLeast = size_t{64} << 20, kMost = size_t{8} << 30;
  const Capacity& capacity = loaded.capacity;
  const int device_blocks = loaded.backend->reads_host_memory() ? capacity.num_blocks : 0;
  const size_t kv = (size_t(device_blocks) + capacity.host_blocks) * capacity.block_bytes;
  const size_t free_bytes = free_host_bytes();
  const size_t chosen = std::clamp((free_bytes - std::min(free_bytes, kv)) / 2, kLeast, kMost);
  const auto asked = static_cast<size_t>(options.max_request_memory);
  log_info("requests: {:.1f} MB of memory for all at once, replies up to {:.1f} MB",
           static_cast<double>(asked > 0 ? asked : chosen) / 1e6,
           static_cast<double>(options.max_reply_bytes) / 1e6);
  return asked > 0 ? asked : chosen;
}

Result<server::TagStyle> chat_tags(const ServeOptions& options, std::string_view chat_template) {
  return server::tag_style(options.reasoning_parser, options.tool_call_parser, chat_template);
}

Result<server::ServerOptions> server_options(const ServeOptions& options,
                                             const LoadedModel& loaded) {
  server::ServerOptions out;
  out.model_name = options.model;
  if (!options.served_model_name.empty()) out.served_model_names = {options.served_model_name};
  out.max_concurrency = static_cast<int>(options.max_concurrency);
  out.max_model_len = loaded.capacity.limits.max_model_len;
  out.vocab_size = loaded.num_tokens();
  out.eos_ids = loaded.generation.eos_token_ids;
  out.defaults = sampling_defaults(loaded.generation);
  out.max_logprobs = static_cast<int>(options.max_logprobs);
  if (options.seed != 0) out.seed = options.seed;
  out.chat_template = loaded.chat_template;
  out.tags = TRY(chat_tags(options, loaded.chat_template));
  log_info("chats: thoughts {}, answers {}, calls of tools {}",
           out.tags.thoughts ? "end in </think>" : "none",
           out.tags.response ? "in <response>" : "are all else",
           out.tags.calls ? "in <tool_call>" : "none");
  out.num_text_threads = static_cast<int>(options.workers);
  out.max_request_memory = request_memory(options, loaded);
  out.max_reply_bytes = static_cast<size_t>(options.max_reply_bytes);
  out.max_text_wait = std::chrono::seconds(options.max_text_wait);
  return out;
}

// Open requests are of no use to whoever asks twice, and neither is an orderly end.
[[noreturn]] void end_at_once(int status) {
  flush_log();
  std::_Exit(status);
}

// Until SIGTERM; then finishes what is open, unless a second signal comes first.
int serve_until_told(Signals& signals, const ServeOptions& options, server::Server& server,
                     engine::Engine& engine) {
  const int signal = signals.wait();
  if (engine.client().stats().failed) {
    log_error("the engine failed: ending, so that a supervisor can start a fresh one");
    return kEngineFailed;
  }
  log_info("SIG{}: taking no new requests, finishing the open ones; once more ends at once",
           sigabbrev_np(signal));
  const auto limit = options.timeout_graceful_shutdown > 0
                         ? std::chrono::seconds(options.timeout_graceful_shutdown)
                         : std::chrono::hours(24 * 365);
  std::thread drainer([&] {
    server.drain(limit);
    signals.wake();
  });
  if (signals.wait() != 0) {
    log_info("second signal: ending at once");
    end_at_once(0);
  }
  server.stop();  // ends the drain, too, where the engine failed meanwhile
  drainer.join();
  return 0;
}

// On a thread of its own, while this one listens to signals. Whatever loading has begun is not
// waited for when one comes.
Result<LoadedModel> load_unless_told(Signals& signals, const ServeOptions& options) {
  auto loading = std::async(std::launch::async, [&] {
    auto loaded = load_model(options);
    signals.wake();
    return loaded;
  });
  if (const int signal = signals.wait(); signal != 0) {
    log_info("SIG{} while loading: ending at once", sigabbrev_np(signal));
    end_at_once(0);
  }
  return loading.get();
}

Result<int> serve(const ServeOptions& options, Signals& signals) {
  TRY(chat_tags(options, ""));  // names nobody knows are told before anything is loaded
  server::Server server(TRY(listen_options(options)));
  TRY(server.start());
  const std::string url = url_of(options.host, server.port());
  log_info("listening on {}; loading the model", url);
  const LoadedModel loaded = TRY(load_unless_told(signals, options));
  const SteadyClock clock;
  engine::Engine engine(*loaded.executor, loaded.capacity.limits, clock,
                        options.max_decode_slowdown);
  std::thread engine_thread([&] {
    engine.run();
    signals.wake();  // it ends by itself only where it failed
  });
  server.open(TRY(server_options(options, loaded)), engine.client(), loaded.tokenizer.get(),
              loaded.chat_prompt ? &*loaded.chat_prompt : nullptr);
  log_info("ready: {}/v1{}", url, options.web ? fmt::format(", a page to chat at {}/", url) : "");
  const int status = serve_until_told(signals, options, server, engine);
  server.stop();
  engine.stop();
  engine_thread.join();
  return status;
}

}  // namespace

int run_serve(std::span<const std::string> arguments) {
  if (asks_for_help(arguments)) {
    fmt::print("{}{}", kServeUsage, options_help());
    return 0;
  }
  const auto parsed = parse_options(arguments, std::getenv);
  if (!parsed.ok()) {
    fmt::print(stderr, "erne serve: {}\n", parsed.status().message);
    return 2;
  }
  Signals signals;
  for (const std::string& note : parsed->notes) log_info("{}", note);
  allow_many_files();
  keep_heaps_small();
  const auto status = serve(parsed->options, signals);
  if (status.ok()) return *status;
  flush_log();
  fmt::print(stderr, "erne serve: {}\n", status.status().message);
  return 1;
}

}  // namespace erne::apps
