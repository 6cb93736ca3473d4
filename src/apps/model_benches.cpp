#include "apps/model_benches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "apps/loaded_model.h"
#include "apps/options.h"
#include "base/clock.h"
#include "base/log.h"

namespace erne::apps {
namespace {

const CLI::Range kCount(1, 1 << 20);

// Of the products with the weights, most of them where a model has experts. A head that stays
// bfloat16 beside codes is slower than its share: the floor counts it as if it were not.
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

// Those of erne serve, with room for the cases.
Result<ServeOptions> serve_options(const std::vector<std::string>& arguments,
                                   const std::vector<bench::ModelCase>& cases) {
  ParsedOptions parsed = TRY(parse_options(arguments, std::getenv));
  for (const std::string& note : parsed.notes) log_info("{}", note);
  ServeOptions options = std::move(parsed.options);
  options.max_model_len =
      std::max<int64_t>(options.max_model_len, bench::warm_up_case().max_sequence_tokens());
  for (const bench::ModelCase& c : cases) {
    options.max_model_len = std::max<int64_t>(options.max_model_len, c.max_sequence_tokens());
    options.max_num_seqs = std::max<int64_t>(options.max_num_seqs, c.num_sequences);
  }
  options.skip_tokenizer_init = true;
  return options;
}

void print(const std::string& text) {
  fmt::print("{}", text);
  std::fflush(stdout);
}

}  // namespace

ModelBenches::ModelBenches(CLI::App& app, std::string command)
    : decode_(add(app, "decode", "One sequence's tokens, at given contexts.")),
      prefill_(add(app, "prefill", "One prompt of which nothing is cached.")),
      batched_(add(app, "batched", "Sequences that start together; prompts and tokens apart.")) {
  options_.command = std::move(command);
  decode_.add_option("--contexts", contexts_, "tokens before the measured ones, with commas")
      ->delimiter(',')
      ->check(CLI::Range(0, 1 << 20));
  prefill_.add_option("--prompts", prompts_, "lengths in tokens, with commas")
      ->delimiter(',')
      ->check(kCount);
  batched_.add_option("--sequences", sequences_, "how many at once, with commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  batched_.add_option("--prompt-len", prompt_tokens_, "tokens of each prompt")->check(kCount);
  for (CLI::App* decoding : {&decode_, &batched_})
    decoding->add_option("--tokens", new_tokens_, "to generate, of each sequence")->check(kCount);
}

CLI::App& ModelBenches::add(CLI::App& app, const char* name, const char* help) {
  CLI::App& bench = *app.add_subcommand(name, help);
  bench.add_option("--repetitions", options_.repetitions, "of each case; the median counts")
      ->check(kCount);
  bench.add_option("--temperature", options_.temperature, "0: greedy")
      ->check(CLI::NonNegativeNumber);
  bench.add_option("--prompt-seed", options_.seed, "of the random prompts");
  bench.add_flag("--skip-limits", options_.skip_limits,
                 "do not measure the machine's limits; no floor is printed");
  bench.add_option("--json", options_.json, "write the result as JSON");
  bench.allow_extras();
  bench.footer(
      [] { return "Flags of erne serve, as far as they matter here:\n" + options_help(); });
  return bench;
}

const CLI::App* ModelBenches::chosen() const {
  for (const CLI::App* bench : {&decode_, &prefill_, &batched_})
    if (bench->parsed()) return bench;
  return nullptr;
}

std::vector<bench::ModelCase> ModelBenches::cases() const {
  if (decode_.parsed()) return bench::decode_cases(contexts_, new_tokens_);
  if (prefill_.parsed()) return bench::prefill_cases(prompts_);
  return bench::batched_cases(sequences_, prompt_tokens_, new_tokens_);
}

Result<void> ModelBenches::run() const {
  const auto cases = this->cases();
  const ServeOptions options = TRY(serve_options(chosen()->remaining(), cases));
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
  TRY(bench::run_model_bench(model, cases, options_, SteadyClock(), print));
  return {};
}

}  // namespace erne::apps
