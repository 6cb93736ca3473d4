#include "apps/model_benches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <span>
#include <vector>

#include "apps/loaded_model.h"
#include "apps/options.h"
#include "base/clock.h"
#include "base/log.h"
#include "bench/model_bench.h"

namespace erne::apps {
namespace {

constexpr Allowed kCount = from_to(1, 1 << 20);

struct ModelBenchFlags : bench::ModelBenchOptions {
  std::vector<int> contexts = {0, 4096};           // decode
  std::vector<int> prompts = {128, 512, 2048};     // prefill
  std::vector<int> sequences = {1, 4, 8, 16, 32};  // batched
  int prompt_tokens = 128;                         // batched
  int new_tokens = 64;                             // decode, batched
};
using F = ModelBenchFlags;
constexpr const char* kCases = "Cases";

constexpr FlagRow<F> kDecodeFlags[] = {
    {"--contexts", kCases, &F::contexts, "tokens before the measured ones, with commas",
     from_to(0, 1 << 20)},
    {"--tokens", kCases, &F::new_tokens, "to generate, of each sequence", kCount},
};
constexpr FlagRow<F> kPrefillFlags[] = {
    {"--prompts", kCases, &F::prompts, "lengths in tokens, with commas", kCount},
};
constexpr FlagRow<F> kBatchedFlags[] = {
    {"--sequences", kCases, &F::sequences, "how many at once, with commas", from_to(1, 4096)},
    {"--prompt-len", kCases, &F::prompt_tokens, "tokens of each prompt", kCount},
    {"--tokens", kCases, &F::new_tokens, "to generate, of each sequence", kCount},
};
constexpr FlagRow<F> kCommonFlags[] = {
    {"--repetitions", "Measurement", &F::repetitions, "of each case; the median counts", kCount},
    {"--temperature", "Measurement", &F::temperature, "0: greedy", from_to(0, 2)},
    {"--prompt-seed", "Measurement", &F::seed, "of the random prompts"},
    {"--skip-limits", "Measurement", &F::skip_limits,
     "do not measure the machine's limits; no floor is printed"},
    {"--json", "Measurement", &F::json, "write the result as JSON"},
};

struct ModelBenchmark {
  const char* name;
  std::span<const FlagRow<F>> flags;
  std::vector<bench::ModelCase> (*cases)(const F&);
};

ModelBenchmark benchmark_of(ModelBenchKind kind) {
  switch (kind) {
    case ModelBenchKind::kDecode:
      return {"erne bench decode", kDecodeFlags,
              [](const F& f) { return bench::decode_cases(f.contexts, f.new_tokens); }};
    case ModelBenchKind::kPrefill:
      return {"erne bench prefill", kPrefillFlags,
              [](const F& f) { return bench::prefill_cases(f.prompts); }};
    case ModelBenchKind::kBatched:
      return {"erne bench batched", kBatchedFlags, [](const F& f) {
                return bench::batched_cases(f.sequences, f.prompt_tokens, f.new_tokens);
              }};
  }
  check_failed(__FILE__, __LINE__, "a kind", "of benchmark");
}

// The arithmetic of most products with weights: the experts', where a model has experts. A head
// that stays bfloat16 beside codes is slower than its share: the floor counts it as if it were not.
bench::Arithmetic arithmetic_of(const model::LoadPlan& plan) {
  const WeightFormat* format = plan.formats.experts;
  if (format == nullptr)
    return plan.activation == DType::kF32 ? bench::Arithmetic::kFloat32 : bench::Arithmetic::kBf16;
  switch (plan.input_of(*format)) {
    case LinearInput::kAsGiven:
      return bench::Arithmetic::kFloat32;
    case LinearInput::kInt8:
      return format->bits == 4 ? bench::Arithmetic::kInt4 : bench::Arithmetic::kInt8;
    case LinearInput::kFp8:  // numbers that bfloat16 holds
      return bench::Arithmetic::kBf16;
  }
  check_failed(__FILE__, __LINE__, "an input", format->name);
}

// Room for the cases, and no tokenizer.
void fit(ServeOptions& options, const std::vector<bench::ModelCase>& cases) {
  options.max_model_len =
      std::max<int64_t>(options.max_model_len, bench::warm_up_case().max_sequence_tokens());
  for (const bench::ModelCase& c : cases) {
    options.max_model_len = std::max<int64_t>(options.max_model_len, c.max_sequence_tokens());
    options.max_num_seqs = std::max<int64_t>(options.max_num_seqs, c.num_sequences);
  }
  options.skip_tokenizer_init = true;
}

void print(const std::string& text) {
  fmt::print("{}", text);
  std::fflush(stdout);
}

Result<void> measure(const std::vector<bench::ModelCase>& cases, const ServeOptions& options,
                     const bench::ModelBenchOptions& how) {
  const LoadedModel loaded = TRY(load_model(options));
  const bench::ModelUnderTest model{.executor = *loaded.executor,
                                    .counters = loaded.backend->counters(),
                                    .backend = loaded.backend->name(),
                                    .limits = loaded.capacity.limits,
                                    .threads = loaded.threads,
                                    .arithmetic = arithmetic_of(loaded.plan),
                                    .weight_bytes = loaded.model->weight_bytes(),
                                    .num_tokens = loaded.num_tokens(),
                                    .name = options.model};
  TRY(bench::run_model_bench(model, cases, how, SteadyClock(), print));
  return {};
}

}  // namespace

Result<void> run_model_bench(ModelBenchKind kind, std::span<const std::string> arguments,
                             const std::string& command) {
  const ModelBenchmark benchmark = benchmark_of(kind);
  ModelBenchFlags flags;
  flags.command = command;
  ServeOptions options;
  Command rows{.name = benchmark.name};
  rows.add(benchmark.flags, flags).add(kCommonFlags, flags);
  add_serve_flags(rows, options);
  if (asks_for_help(arguments)) {
    print(fmt::format("{} [flags], with those of erne serve as far as they matter here\n{}",
                      benchmark.name, flags_help(rows)));
    return {};
  }
  for (const std::string& note : TRY(parse_flags(rows, arguments, std::getenv)))
    log_info("{}", note);
  TRY(check_together(options));
  const auto cases = benchmark.cases(flags);
  fit(options, cases);
  return measure(cases, options, flags);
}

}  // namespace erne::apps
