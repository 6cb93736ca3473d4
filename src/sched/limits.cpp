#include "sched/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/status.h"

namespace erne::sched {
namespace {

Result<void> check_at_least(const char* name, int value, int least) {
  if (value >= least) return {};
  return invalid(fmt::format("{} is {}; it must be at least {}", name, value, least), name);
}

Status too_long(std::string message, std::string param) {
  return {Code::kTooLong, std::move(message), std::move(param)};
}

Result<void> check_ids(std::span<const TokenId> ids, int vocab_size, const char* param) {
  for (const TokenId id : ids)
    if (id < 0 || id >= vocab_size)
      return invalid(fmt::format("the {} has token {}, this model's tokens end at {}", param, id,
                                 vocab_size - 1),
                     param);
  return {};
}

Result<void> check_named_ids(const Request& request, int vocab_size) {
  TRY(check_ids(request.prompt, vocab_size, "prompt"));
  TRY(check_ids(request.stop.stop_token_ids, vocab_size, "stop_token_ids"));
  for (const std::vector<TokenId>& word : request.sampling.bad_words) {
    if (word.empty()) return invalid("bad_words has a word without tokens", "bad_words");
    TRY(check_ids(word, vocab_size, "bad_words"));
  }
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    TRY(check_ids({&id, 1}, vocab_size, "logit_bias"));
    if (!std::isfinite(bias))
      return invalid(fmt::format("logit_bias of token {} is {}; it must be finite", id, bias),
                     "logit_bias");
  }
  return {};
}

// What the sampler is defined for.
Result<void> check_sampling(const SamplingParams& sampling) {
  constexpr double kMost = std::numeric_limits<float>::max();
  constexpr double kLeast = std::numeric_limits<float>::min();  // "above 0"
  const struct {
    const char* name;
    double value, low, high;
  } fields[] = {
      {"temperature", sampling.temperature, 0, kMost},
      {"top_p", sampling.top_p, kLeast, 1},
      {"top_k", static_cast<double>(sampling.top_k), 0, kMost},
      {"min_p", sampling.min_p, 0, 1},
      {"repetition_penalty", sampling.repetition_penalty, kLeast, kMost},
      {"frequency_penalty", sampling.frequency_penalty, -kMost, kMost},
      {"presence_penalty", sampling.presence_penalty, -kMost, kMost},
      {"logprobs", static_cast<double>(sampling.logprobs), -1, kMost},
      {"prompt_logprobs", static_cast<double>(sampling.prompt_logprobs), -1, kMost},
  };
  for (const auto& field : fields)
    if (!(field.value >= field.low && field.value <= field.high))
      return invalid(fmt::format("{} is {}; it must be from {:g} to {:g}", field.name, field.value,
                                 field.low, field.high),
                     field.name);
  return {};
}

// The last token generated needs no KV.
int64_t positions_needed(const Request& request) {
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  return prompt + std::max<int64_t>(request.stop.max_new_tokens - 1, 0);
}

}  // namespace

Result<void> check_limits(const Limits& limits, const kv::KvGeometry& geometry) {
  const struct {
    const char* name;
    int value, least;
  } fields[] = {
      {"max_rows", limits.max_rows, 1},
      {"max_tokens", limits.max_tokens, 1},
      {"max_model_len", limits.max_model_len, 1},
      {"vocab_size", limits.vocab_size, 1},
      {"max_waiting", limits.max_waiting, 1},
      {"max_drafts", limits.max_drafts, 0},
      {"min_free_blocks", limits.min_free_blocks, 0},
      {"max_scored", limits.max_scored, 1},
      {"max_partial_prompts", limits.max_partial_prompts, 1},
      {"max_long_prompts", limits.max_long_prompts, 1},
      {"long_prompt", limits.long_prompt, 1},
      {"device_blocks", geometry.device_blocks, 1},
      {"host_blocks", geometry.host_blocks, 0},
      {"block_tokens", geometry.block_tokens, 1},
  };
  for (const auto& field : fields) {
    if (Result<void> r = check_at_least(field.name, field.value, field.least); !r.ok()) return r;
  }
  return {};
}

Result<void> check_request(const Request& request, const Limits& limits,
                           const kv::KvGeometry& geometry) {
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const StopRules& stop = request.stop;
  if (prompt == 0) return invalid("the prompt is empty; it needs at least one token", "prompt");
  if (stop.max_new_tokens < 0) {
    return invalid(fmt::format("max_tokens is {}; it must not be negative", stop.max_new_tokens),
                   "max_tokens");
  }
  if (stop.min_new_tokens < 0 || stop.min_new_tokens > stop.max_new_tokens) {
    return invalid(fmt::format("min_tokens is {}; it must be between 0 and max_tokens, {}",
                               stop.min_new_tokens, stop.max_new_tokens),
                   "min_tokens");
  }
  if (prompt + stop.max_new_tokens > limits.max_model_len) {
    return too_long(
        fmt::format("the prompt has {} tokens and up to {} are to be generated: {} in all, and the "
                    "longest context here is {}",
                    prompt, stop.max_new_tokens, prompt + stop.max_new_tokens,
                    limits.max_model_len),
        prompt < limits.max_model_len ? "max_tokens" : "prompt");
  }
  const int64_t room = int64_t{geometry.device_blocks} * geometry.block_tokens;
  if (positions_needed(request) > room) {
    return too_long(fmt::format("the prompt has {} tokens and up to {} are to be generated: the KV "
                                "cache has room for {} ({} blocks of {})",
                                prompt, stop.max_new_tokens, room, geometry.device_blocks,
                                geometry.block_tokens),
                    "max_tokens");
  }
  if (!limits.chunk_prompts && prompt > limits.max_tokens) {
    return too_long(fmt::format("the prompt has {} tokens; without chunked prefill it must fit one "
                                "step of {}",
                                prompt, limits.max_tokens),
                    "prompt");
  }
  TRY(check_sampling(request.sampling));
  return check_named_ids(request, limits.vocab_size);
}

Status too_many_waiting(size_t num_waiting) {
  return {Code::kOverloaded,
          fmt::format("{} requests are waiting already; try again later", num_waiting)};
}

}  // namespace erne::sched
