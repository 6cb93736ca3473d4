#include "apps/serve.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "apps/loaded_model.h"
#include "apps/options.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine.h"
#include "server/server.h"

namespace erne::apps {
namespace {

constexpr char kUsage[] =
    "erne serve --model DIR [flags]\n"
    "\n"
    "Serves a model over the OpenAI API. SIGTERM finishes open requests and ends; a second one "
    "ends\n"
    "at once. Flags are FastDeploy's where they mean the same; - and _ are one.\n";

// Signals are waited for, not handled: they are blocked before any thread starts. SIGUSR1 is how
// our own threads wake the waiting one.
class Signals {
 public:
  Signals() {
    std::signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set_);
    for (int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  int wait() const {
    int signal = 0;
    sigwait(&set_, &signal);
    return signal;
  }
  static void wake() { kill(getpid(), SIGUSR1); }

 private:
  sigset_t set_;
};

// A connection is an open file, and a shell's usual limit of 1,024 is below --max-concurrency's
// default.
void allow_many_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::string chat_template_text(const ServeOptions& options) {
  if (!options.chat_template.empty()) {
    std::ifstream file(options.chat_template);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  auto source =
      text::ChatTemplateSource::load(options.tokenizer.empty() ? options.model : options.tokenizer);
  return source.ok() ? source->text : "";
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

server::ServerOptions server_options(const ServeOptions& options, const LoadedModel& loaded) {
  server::ServerOptions out;
  out.host = options.host;
  out.port = static_cast<int>(options.port);
  out.metrics_port = static_cast<int>(options.metrics_port);
  out.model_name = options.model;
  if (!options.served_model_name.empty()) out.served_model_names = {options.served_model_name};
  out.api_keys = options.api_keys;
  out.max_concurrency = static_cast<int>(options.max_concurrency);
  out.max_model_len = loaded.capacity.limits.max_model_len;
  out.vocab_size = loaded.num_tokens();
  out.eos_ids = loaded.generation.eos_token_ids;
  out.defaults = sampling_defaults(loaded.generation);
  out.max_logprobs = static_cast<int>(options.max_logprobs);
  if (options.seed != 0) out.seed = options.seed;
  out.chat_template = loaded.tokenizer ? chat_template_text(options) : "";
  out.num_text_threads = static_cast<int>(options.workers);
  return out;
}

// Until SIGTERM; then finishes what is open, unless a second signal comes first.
int serve_until_told(const Signals& signals, const ServeOptions& options, server::Server& server,
                     engine::Engine& engine) {
  const int signal = signals.wait();
  if (engine.client().stats().failed) {
    log_error("the engine failed: ending, so that a supervisor can start a fresh one");
    return 1;
  }
  log_info("{}: taking no new requests, finishing the open ones; once more ends at once",
           signal == SIGINT ? "SIGINT" : "SIGTERM");
  const auto limit = options.timeout_graceful_shutdown > 0
                         ? std::chrono::seconds(options.timeout_graceful_shutdown)
                         : std::chrono::hours(24 * 365);
  std::thread drainer([&] {
    server.drain(limit);
    Signals::wake();
  });
  if (signals.wait() != SIGUSR1) log_info("second signal: ending at once");
  server.stop();  // ends the drain, too
  drainer.join();
  return 0;
}

Result<int> serve(const ServeOptions& options, const Signals& signals) {
  const LoadedModel loaded = TRY(load_model(options));
  const SteadyClock clock;
  engine::Engine engine(*loaded.executor, loaded.capacity.limits, clock,
                        options.max_decode_slowdown);
  std::thread engine_thread([&] {
    engine.run();
    Signals::wake();  // it ends by itself only where it failed
  });
  server::Server server(server_options(options, loaded), engine.client(), loaded.tokenizer.get(),
                        loaded.chat_prompt ? &*loaded.chat_prompt : nullptr);
  Result<int> status = 0;
  if (const auto started = server.start(); started.ok()) {
    log_info("ready: http://{}:{}/v1", options.host == "0.0.0.0" ? "127.0.0.1" : options.host,
             server.port());
    status = serve_until_told(signals, options, server, engine);
  } else {
    status = started.status();
  }
  server.stop();
  engine.stop();
  engine_thread.join();
  return status;
}

}  // namespace

int run_serve(std::span<const std::string> arguments) {
  if (std::find(arguments.begin(), arguments.end(), "--help") != arguments.end()) {
    fmt::print("{}{}", kUsage, options_help());
    return 0;
  }
  const auto parsed = parse_options(arguments, std::getenv);
  if (!parsed.ok()) {
    fmt::print(stderr, "erne serve: {}\n", parsed.status().message);
    return 2;
  }
  for (const std::string& note : parsed->notes) log_info("{}", note);
  const Signals signals;
  allow_many_files();
  const auto status = serve(parsed->options, signals);
  if (status.ok()) return *status;
  fmt::print(stderr, "erne serve: {}\n", status.status().message);
  return 1;
}

}  // namespace erne::apps
