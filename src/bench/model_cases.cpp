#include "bench/model_cases.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace erne::bench {
namespace {

// Sequences whose prompts are done first go on decoding while other prompts are computed: at most
// this many tokens each.
constexpr int kHeadStart = 256;

}  // namespace

const char* phase_name(Phase phase) {
  switch (phase) {
    case Phase::kPrefill:
      return "prefill";
    case Phase::kDecode:
      return "decode";
  }
  check_failed(__FILE__, __LINE__, "a phase", std::to_string(static_cast<int>(phase)));
}

int ModelCase::max_sequence_tokens() const {
  return prompt_tokens + 1 + new_tokens + (num_sequences > 1 ? kHeadStart : 0);
}

ModelCase warm_up_case() {
  return {.name = "warm-up", .prompt_tokens = 16, .new_tokens = 4};
}

std::vector<ModelCase> decode_cases(std::span<const int> contexts, int new_tokens) {
  std::vector<ModelCase> cases;
  for (const int context : contexts)
    cases.push_back({.name = fmt::format("decode-{}@{}", new_tokens, context),
                     .prompt_tokens = std::max(1, context),
                     .new_tokens = new_tokens,
                     .phases = {Phase::kDecode},
                     .same_prompt = true});
  return cases;
}

std::vector<ModelCase> prefill_cases(std::span<const int> prompts) {
  std::vector<ModelCase> cases;
  for (const int prompt : prompts)
    cases.push_back({.name = fmt::format("prefill-{}", prompt),
                     .prompt_tokens = prompt,
                     .phases = {Phase::kPrefill}});
  return cases;
}

std::vector<ModelCase> batched_cases(std::span<const int> num_sequences, int prompt_tokens,
                                     int new_tokens) {
  std::vector<ModelCase> cases;
  for (const int count : num_sequences)
    cases.push_back({.name = fmt::format("batched-{}x{}+{}", count, prompt_tokens, new_tokens),
                     .num_sequences = count,
                     .prompt_tokens = prompt_tokens,
                     .new_tokens = new_tokens,
                     .phases = {Phase::kPrefill, Phase::kDecode}});
  return cases;
}

}  // namespace erne::bench
