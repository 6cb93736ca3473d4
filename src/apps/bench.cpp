#include "apps/bench.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "apps/backends.h"
#include "apps/flags.h"
#include "apps/make_checkpoint.h"
#include "apps/model_benches.h"
#include "base/clock.h"
#include "bench/ops_bench.h"
#include "bench/serve_bench.h"

namespace erne::apps {
namespace {

int refuse(const Status& status) {
  fmt::print(stderr, "erne bench: {}\n", status.message);
  return status.code == Code::kInvalid ? 2 : 1;
}

// The command line as typed, for the result file; a key is no part of it.
std::string command_line(std::span<const std::string> arguments) {
  std::string line = "erne bench";
  bool is_key = false;
  for (const std::string& argument : arguments) {
    const std::string flag = with_dashes(argument);
    line += ' ';
    if (is_key) {
      line += "***";
    } else {
      line += flag.starts_with("--api-key=") ? "--api-key=***" : argument;
    }
    is_key = flag == "--api-key";
  }
  return line;
}

// Ranges are checked where the benchmark is (bench::check).
using S = bench::ServeBenchOptions;
constexpr FlagRow<S> kServeFlags[] = {
    {"--base-url", "Server", &S::base_url, "the server's address"},
    {"--endpoint", "Server", &S::endpoint, "/v1/completions or /v1/chat/completions"},
    {"--served-model-name", "Server", &S::served_model_name,
     "model to ask for; default: the first the server lists"},
    {"--api-key", "Server", &S::api_key, "sent as bearer token", {.is_key = true}},
    {"--num-prompts", "Load", &S::num_prompts, "requests in all"},
    {"--max-concurrency", "Load", &S::max_concurrency, "streams at once; 0: no limit"},
    {"--request-rate", "Load", &S::request_rate,
     "requests per second, in Poisson distances; inf: all at once"},
    {"--dataset", "Load", &S::dataset,
     "\"random\", or a JSON Lines file: \"prompt\" or \"messages\", and \"output_len\""},
    {"--input-len", "Load", &S::input_len,
     "tokens of a random prompt (chat: random digits, the template comes on top)"},
    {"--output-len", "Load", &S::output_len, "tokens to generate, as max_tokens"},
    {"--vocab-size", "Load", &S::vocab_size, "of random token ids; 0: ask the server"},
    {"--seed", "Load", &S::seed, "of prompts, arrivals and sampling"},
    {"--ignore-eos", "Load", &S::ignore_eos, "generate --output-len tokens whatever they are"},
    {"--response-format", "Load", &S::response_format,
     "JSON: what the answers must look like, as the field takes it"},
    {"--temperature", "Load", &S::temperature, "0: greedy"},
    {"--timeout", "Load", &S::timeout_s, "seconds that one request may take"},
    {"--model", "Result", &S::model_dir,
     "the server's checkpoint, for the floor; default: what the server names"},
    {"--weight-bytes", "Result", &S::weight_bytes, "the weights' size, for the floor"},
    {"--save-result", "Result", &S::save_result, "write the result as JSON"},
    {"--plot", "Result", &S::plot, "write distributions and throughput as SVG"},
};

struct OpsFlags : bench::OpsBenchOptions {
  OpsFlags() { threads = 0; }
  std::string device = "cpu", isa = "auto";
  int context = bench::kErnie03B.context;
};
using P = OpsFlags;
constexpr FlagRow<P> kOpsFlags[] = {
    {"--device", "Machine", &P::device, "cpu, or a GPU", one_of(kDeviceChoices)},
    {"--isa", "Machine", &P::isa, "auto, reference, avx2, avx512, avx512_bf16 or amx"},
    {"--threads", "Machine", &P::threads, "of the back end; 0: as many as this process may use"},
    {"--dtype", "What", &P::dtype, "of activations: bfloat16 or float32"},
    {"--kv-cache-dtype", "What", &P::kv_cache_dtype, "auto (as --dtype), bfloat16, float32, int8"},
    {"--context", "What", &P::context, "positions of a sequence in attention_decode"},
    {"--ops", "What", &P::ops, "which, by name, with commas; default: all", {.commas = true}},
    {"--rows", "What", &P::rows, "numbers of rows, with commas"},
    {"--json", "Result", &P::json, "write the result as JSON"},
};

using M = MakeCheckpointOptions;
constexpr FlagRow<M> kMakeCheckpointFlags[] = {
    {"--model", "Checkpoint", &M::model, "folder whose config.json gives the shapes; required"},
    {"--output", "Checkpoint", &M::output,
     "folder to make, with config.json and model.safetensors; required"},
    {"--seed", "Checkpoint", &M::seed, "of the weights: the same seed, the same file"},
};

// Parses by the rows, then runs; or prints the flags.
template <class Options, size_t N, class Run>
int run_with(const char* name, const FlagRow<Options> (&rows)[N], Options options,
             std::span<const std::string> arguments, const Run& run) {
  Command command{.name = name};
  command.add(rows, options);
  if (asks_for_help(arguments)) {
    fmt::print("{} [flags]\n{}", name, flags_help(command));
    return 0;
  }
  if (const auto notes = parse_flags(command, arguments, std::getenv); !notes.ok())
    return refuse(notes.status());
  const Result<int> status = run(options);
  return status.ok() ? *status : refuse(status.status());
}

int run_make_checkpoint(std::span<const std::string> arguments, const std::string&) {
  return run_with("erne bench make-checkpoint", kMakeCheckpointFlags, MakeCheckpointOptions(),
                  arguments, [](const MakeCheckpointOptions& options) -> Result<int> {
                    TRY(require({{"--model", options.model}, {"--output", options.output}}));
                    fmt::print("{}", TRY(make_checkpoint(options)));
                    return 0;
                  });
}

int run_serve_bench(std::span<const std::string> arguments, const std::string& command) {
  bench::ServeBenchOptions options;
  options.command = command;
  return run_with("erne bench serve", kServeFlags, std::move(options), arguments,
                  [](const bench::ServeBenchOptions& options) -> Result<int> {
                    const auto result = TRY(bench::run_serve_bench(options, SteadyClock()));
                    fmt::print("{}", result.text);
                    return result.any_completed ? 0 : 1;
                  });
}

Result<int> measure_ops(OpsFlags options) {
  options.shapes.context = options.context;
  TRY(bench::check(options));
  const ChosenBackend chosen = TRY(make_backend({options.device, options.isa, options.threads}));
  options.threads = chosen.threads;
  options.streamed_bytes = bench::uncached_bytes();
  const auto print = [](const std::string& text) {
    fmt::print("{}", text);
    std::fflush(stdout);
  };
  TRY(bench::run_ops_bench(*chosen.backend, options, SteadyClock(), print));
  return 0;
}

int run_ops_bench(std::span<const std::string> arguments, const std::string& command) {
  OpsFlags options;
  options.command = command;
  return run_with("erne bench ops", kOpsFlags, std::move(options), arguments, measure_ops);
}

template <ModelBenchKind kind>
int run_model(std::span<const std::string> arguments, const std::string& command) {
  const auto status = run_model_bench(kind, arguments, command);
  return status.ok() ? 0 : refuse(status.status());
}

struct Benchmark {
  const char* name;
  int (*run)(std::span<const std::string> arguments, const std::string& command);
  const char* help;
};

constexpr Benchmark kBenchmarks[] = {
    {"serve", run_serve_bench, "load a running server: TTFT, TPOT, ITL, throughput, failures"},
    {"decode", run_model<ModelBenchKind::kDecode>, "one sequence's tokens, at given contexts"},
    {"prefill", run_model<ModelBenchKind::kPrefill>, "one prompt of which nothing is cached"},
    {"batched", run_model<ModelBenchKind::kBatched>,
     "sequences that start together; prompts and tokens apart"},
    {"ops", run_ops_bench, "this machine's limits and each operation of ERNIE-4.5 0.3B on the CPU"},
    {"make-checkpoint", run_make_checkpoint,
     "write a checkpoint of a model's shapes with random weights"},
};

int usage(int status) {
  std::string text =
      "erne bench BENCHMARK [flags]\n\nMeasures, and says how far from the floor: what the "
      "machine's limits allow.\n\n";
  for (const Benchmark& benchmark : kBenchmarks)
    text += fmt::format("  {:<16} {}\n", benchmark.name, benchmark.help);
  text += "\n'erne bench BENCHMARK --help' lists its flags.\n";
  fmt::print(status == 0 ? stdout : stderr, "{}", text);
  return status;
}

}  // namespace

int run_bench(std::span<const std::string> arguments) {
  if (arguments.empty()) return usage(2);
  const std::string& name = arguments[0];
  for (const Benchmark& benchmark : kBenchmarks)
    if (name == benchmark.name) return benchmark.run(arguments.subspan(1), command_line(arguments));
  if (asks_for_help(arguments)) return usage(0);
  fmt::print(stderr, "erne bench: there is no benchmark '{}'\n\n", name.substr(0, 80));
  return usage(2);
}

}  // namespace erne::apps
