#include "apps/bench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <vector>

#include "apps/backends.h"
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

// Both spellings count: --max_concurrency is --max-concurrency.
std::string with_dashes(std::string argument) {
  if (!argument.starts_with("--")) return argument;
  const auto name_end =
      argument.begin() + static_cast<int64_t>(std::min(argument.find('='), argument.size()));
  std::replace(argument.begin(), name_end, '_', '-');
  return argument;
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

void add_serve_flags(CLI::App& app, bench::ServeBenchOptions& o) {
  app.add_option("--base-url", o.base_url, "the server's address");
  app.add_option("--endpoint", o.endpoint, "/v1/completions or /v1/chat/completions");
  app.add_option("--served-model-name", o.served_model_name,
                 "model to ask for; default: the first the server lists");
  app.add_option("--api-key", o.api_key, "sent as bearer token");
  app.add_option("--num-prompts", o.num_prompts, "requests in all");
  app.add_option("--max-concurrency", o.max_concurrency, "streams at once; 0: no limit");
  app.add_option("--request-rate", o.request_rate,
                 "requests per second, in Poisson distances; inf: all at once");
  app.add_option(
      "--dataset", o.dataset,
      "\"random\", or a JSON Lines file: \"prompt\" or \"messages\", and \"output_len\"");
  app.add_option("--input-len", o.input_len,
                 "tokens of a random prompt (chat: random digits, the template comes on top)");
  app.add_option("--output-len", o.output_len, "tokens to generate, as max_tokens");
  app.add_option("--vocab-size", o.vocab_size, "of random token ids; 0: ask the server");
  app.add_option("--seed", o.seed, "of prompts, arrivals and sampling");
  app.add_flag("--ignore-eos", o.ignore_eos, "generate --output-len tokens whatever they are");
  app.add_option("--temperature", o.temperature, "0: greedy");
  app.add_option("--timeout", o.timeout_s, "seconds that one request may take");
  app.add_option("--model", o.model_dir,
                 "the server's checkpoint, for the floor; default: what the server names");
  app.add_option("--weight-bytes", o.weight_bytes, "the weights' size, for the floor");
  app.add_option("--save-result", o.save_result, "write the result as JSON");
  app.add_option("--plot", o.plot, "write distributions and throughput as SVG");
}

void add_ops_flags(CLI::App& app, bench::OpsBenchOptions& o, std::string& isa) {
  app.add_option("--isa", isa, "auto, reference, avx2, avx512, avx512_bf16 or amx");
  app.add_option("--threads", o.threads, "of the back end; 0: as many as this process may use");
  app.add_option("--dtype", o.dtype, "of activations: bfloat16 or float32");
  app.add_option("--kv-cache-dtype", o.kv_cache_dtype,
                 "auto (as --dtype), bfloat16, float32, int8");
  app.add_option("--context", o.shapes.context, "positions of a sequence in attention_decode");
  app.add_option("--ops", o.ops, "which, by name, with commas")->delimiter(',')->default_str("all");
  app.add_option("--rows", o.rows, "numbers of rows, with commas")->delimiter(',');
  app.add_option("--json", o.json, "write the result as JSON");
}

void add_make_checkpoint_flags(CLI::App& app, MakeCheckpointOptions& o) {
  app.add_option("--model", o.model, "folder whose config.json gives the shapes")->required();
  app.add_option("--output", o.output, "folder to make, with config.json and model.safetensors")
      ->required();
  app.add_option("--seed", o.seed, "of the weights: the same seed, the same file");
}

int run_make_checkpoint(const MakeCheckpointOptions& options) {
  const auto made = make_checkpoint(options);
  if (!made.ok()) return refuse(made.status());
  fmt::print("{}", *made);
  return 0;
}

int run_serve_bench(const bench::ServeBenchOptions& options) {
  const auto result = bench::run_serve_bench(options, SteadyClock());
  if (!result.ok()) return refuse(result.status());
  fmt::print("{}", result->text);
  return result->any_completed ? 0 : 1;
}

int run_ops_bench(bench::OpsBenchOptions options, const std::string& isa_name) {
  if (const auto checked = bench::check(options); !checked.ok()) return refuse(checked.status());
  const auto chosen = make_backend(isa_name, options.threads);
  if (!chosen.ok()) return refuse(chosen.status());
  options.threads = chosen->threads;
  options.streamed_bytes = bench::uncached_bytes();
  const auto print = [](const std::string& text) {
    fmt::print("{}", text);
    std::fflush(stdout);
  };
  const auto result = bench::run_ops_bench(*chosen->backend, options, SteadyClock(), print);
  return result.ok() ? 0 : refuse(result.status());
}

}  // namespace

int run_bench(std::span<const std::string> arguments) {
  CLI::App app("Measures, and says how far from the floor: what the machine's limits allow.",
               "erne bench");
  app.option_defaults()->always_capture_default();
  app.require_subcommand(1);

  bench::ServeBenchOptions serve_options;
  serve_options.command = command_line(arguments);
  CLI::App& serve =
      *app.add_subcommand("serve", "Load a running server: TTFT, TPOT, ITL, throughput, failures.");
  add_serve_flags(serve, serve_options);

  bench::OpsBenchOptions ops_options;
  ops_options.command = serve_options.command;
  ops_options.threads = 0;
  std::string isa = "auto";
  CLI::App& ops = *app.add_subcommand(
      "ops", "Measure this machine's limits and each operation of ERNIE-4.5 0.3B on the CPU.");
  add_ops_flags(ops, ops_options, isa);

  const ModelBenches model_benches(app, serve_options.command);

  MakeCheckpointOptions make_options;
  CLI::App& make = *app.add_subcommand(
      "make-checkpoint", "Write a checkpoint of a model's shapes with random weights.");
  add_make_checkpoint_flags(make, make_options);

  std::vector<std::string> reversed;  // as CLI11 wants it
  for (size_t i = arguments.size(); i-- > 0;) reversed.push_back(with_dashes(arguments[i]));
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (model_benches.parsed()) {
    const auto measured = model_benches.run();
    return measured.ok() ? 0 : refuse(measured.status());
  }
  if (make.parsed()) return run_make_checkpoint(make_options);
  return serve.parsed() ? run_serve_bench(serve_options) : run_ops_bench(ops_options, isa);
}

}  // namespace erne::apps
