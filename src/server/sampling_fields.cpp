// The fields about how tokens are drawn and when a sequence ends. Ranges are OpenAI's, and
// FastDeploy's for the fields that only it has.
#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <set>

#include "server/fields.h"

namespace erne::server {
namespace {

constexpr double kGreedyTemperature = 1e-5;  // below it FastDeploy's temperature counts as 0
constexpr size_t kMaxStops = 16;
constexpr size_t kMaxStopBytes = 1024;
constexpr size_t kMaxStopTokens = 1024;
constexpr size_t kMaxBadWords = 1024;
constexpr size_t kMaxBadWordBytes = 256;
constexpr size_t kMaxBadWordTokens = 64;
constexpr size_t kMaxBiases = 1024;
constexpr int kMaxTopK = 1 << 20;
constexpr double kMaxRepetitionPenalty = 100.0;

Result<void> read_temperature(const Arg& arg, GenerationRequest& r) {
  const double temperature = TRY(number(arg, 0, 2));
  r.sampling.temperature =
      temperature < kGreedyTemperature ? 0.0f : static_cast<float>(temperature);
  return {};
}

Result<void> read_top_p(const Arg& arg, GenerationRequest& r) {
  r.sampling.top_p = static_cast<float>(std::max(TRY(number(arg, 0, 1)), kGreedyTemperature));
  return {};
}

Result<void> read_top_k(const Arg& arg, GenerationRequest& r) {
  const int64_t top_k = TRY(integer(arg, -1, kMaxTopK));
  r.sampling.top_k = top_k < 0 ? 0 : static_cast<int>(top_k);  // -1 and 0: off
  return {};
}

Result<void> read_min_p(const Arg& arg, GenerationRequest& r) {
  r.sampling.min_p = static_cast<float>(TRY(number(arg, 0, 1)));
  return {};
}

Result<void> read_repetition_penalty(const Arg& arg, GenerationRequest& r) {
  const double penalty = arg.value.is_number() ? arg.value.as_double() : 0;
  if (!(penalty >= std::numeric_limits<float>::min() && penalty <= kMaxRepetitionPenalty))
    return arg.wrong(fmt::format("a number above 0 and at most {}", kMaxRepetitionPenalty));
  r.sampling.repetition_penalty = static_cast<float>(penalty);
  return {};
}

Result<void> read_frequency_penalty(const Arg& arg, GenerationRequest& r) {
  r.sampling.frequency_penalty = static_cast<float>(TRY(number(arg, -2, 2)));
  return {};
}

Result<void> read_presence_penalty(const Arg& arg, GenerationRequest& r) {
  r.sampling.presence_penalty = static_cast<float>(TRY(number(arg, -2, 2)));
  return {};
}

Result<void> read_seed(const Arg& arg, GenerationRequest& r) {
  if (!arg.value.is_integer())
    return arg.wrong(fmt::format("an integer from {} to {}", std::numeric_limits<int64_t>::min(),
                                 std::numeric_limits<uint64_t>::max()));
  r.seed = Seed{arg.value.as_bits(), arg.value.as_int() < 0};
  return {};
}

Result<void> read_logit_bias(const Arg& arg, GenerationRequest& r) {
  if (!arg.value.is_object() || arg.value.as_object().size() > kMaxBiases)
    return arg.wrong(
        fmt::format("an object of at most {} token ids with their biases", kMaxBiases));
  std::set<TokenId> seen;
  for (const auto& [key, bias] : arg.value.as_object()) {
    TokenId id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 ||
        id >= arg.limits.vocab_size)
      return invalid(
          fmt::format("logit_bias must have token ids from 0 to {} as keys, found \"{}\"",
                      arg.limits.vocab_size - 1, key.substr(0, 20)),
          arg.name);
    if (!seen.insert(id).second)
      return invalid(fmt::format("logit_bias names token {} more than once", id), arg.name);
    const Arg item{fmt::format("{}.{}", arg.name, id), bias, arg.limits};
    r.sampling.logit_bias.emplace_back(id, static_cast<float>(TRY(number(item, -100, 100))));
  }
  return {};
}

Result<void> read_bad_words(const Arg& arg, GenerationRequest& r) {
  r.bad_words = TRY(strings(arg, kMaxBadWords, kMaxBadWordBytes));
  return {};
}

// Ids that are forbidden each, or lists of ids that are forbidden one after the other.
Result<void> read_bad_words_token_ids(const Arg& arg, GenerationRequest& r) {
  TRY(list_of_at_most(arg, kMaxBadWords, "token ids or lists of token ids"));
  for (size_t i = 0; i < arg.value.as_array().size(); ++i) {
    const Arg item = arg.item(i);
    if (!item.value.is_array()) {
      r.bad_words_token_ids.push_back({TRY(token_id(item))});
      continue;
    }
    if (item.value.as_array().empty()) return item.wrong("a token id or a list of some");
    TRY(list_of_at_most(item, kMaxBadWordTokens, "token ids"));
    r.bad_words_token_ids.push_back(TRY(token_ids(item)));
  }
  return {};
}

Result<void> read_n(const Arg& arg, GenerationRequest& r) {
  r.n = static_cast<int>(TRY(integer(arg, 1, kMaxN)));
  return {};
}

Result<void> read_best_of(const Arg& arg, GenerationRequest& r) {
  r.best_of = static_cast<int>(TRY(integer(arg, 1, kMaxN)));
  return {};
}

// What exceeds the context is cut to it: the reply then ends with "length".
constexpr int kMaxAskedTokens = std::numeric_limits<int32_t>::max();

Result<void> read_max_tokens(const Arg& arg, GenerationRequest& r) {
  r.max_tokens = TRY(count_up_to(arg, kMaxAskedTokens));
  return {};
}

Result<void> read_max_completion_tokens(const Arg& arg, GenerationRequest& r) {
  r.max_completion_tokens = TRY(count_up_to(arg, kMaxAskedTokens));
  return {};
}

Result<void> read_min_tokens(const Arg& arg, GenerationRequest& r) {
  r.min_tokens = static_cast<int>(TRY(integer(arg, 0, arg.limits.max_model_len)));
  return {};
}

Result<void> read_ignore_eos(const Arg& arg, GenerationRequest& r) {
  r.ignore_eos = TRY(boolean(arg));
  return {};
}

Result<void> read_stop(const Arg& arg, GenerationRequest& r) {
  r.stop = TRY(strings(arg, kMaxStops, kMaxStopBytes));
  return {};
}

Result<void> read_stop_token_ids(const Arg& arg, GenerationRequest& r) {
  TRY(list_of_at_most(arg, kMaxStopTokens, "token ids"));
  r.stop_token_ids = TRY(token_ids(arg));
  return {};
}

Result<void> read_include_stop(const Arg& arg, GenerationRequest& r) {
  r.include_stop_str_in_output = TRY(boolean(arg));
  return {};
}

constexpr Field kSamplingFields[] = {
    {"temperature", kBoth, read_temperature},
    {"top_p", kBoth, read_top_p},
    {"top_k", kBoth, read_top_k},
    {"min_p", kBoth, read_min_p},
    {"repetition_penalty", kBoth, read_repetition_penalty},
    {"frequency_penalty", kBoth, read_frequency_penalty},
    {"presence_penalty", kBoth, read_presence_penalty},
    {"seed", kBoth, read_seed},
    {"logit_bias", kBoth, read_logit_bias},
    {"bad_words", kBoth, read_bad_words},
    {"bad_words_token_ids", kBoth, read_bad_words_token_ids},
    {"n", kBoth, read_n},
    {"best_of", kCompletionsOnly, read_best_of},
    {"max_tokens", kBoth, read_max_tokens},
    {"max_completion_tokens", kBoth, read_max_completion_tokens},
    {"min_tokens", kBoth, read_min_tokens},
    {"ignore_eos", kBoth, read_ignore_eos},
    {"stop", kBoth, read_stop},
    {"stop_token_ids", kBoth, read_stop_token_ids},
    {"include_stop_str_in_output", kBoth, read_include_stop},
};

}  // namespace

std::span<const Field> sampling_fields() {
  return kSamplingFields;
}

}  // namespace erne::server
