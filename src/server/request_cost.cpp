#include "server/request_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace erne::server {
namespace {

// Bytes of JSON, commas and quotes included.
constexpr size_t kTextBytes = 5;         // what a token says
constexpr size_t kIdBytes = 7;           // 103424,
constexpr size_t kNamedScoreBytes = 32;  // " could":-12.345678710937500,
constexpr size_t kChatScoreBytes = 76;   // the same with the members' names and its bytes
constexpr size_t kPositionBytes = 40;    // a token with neither score nor alternatives
constexpr size_t kPromptScoreBytes = 82;

// Bytes of memory.
constexpr size_t kChoiceBytes = 8192;  // what every choice needs, whatever it says
constexpr size_t kTokenBytes = 24;     // in the engine's sequence, on the way, and as text
constexpr size_t kAllocation = 16;

// A token with its score here, and once more on its way from the engine.
size_t score_memory(int num_top) {
  return sizeof(ScoredToken) + sizeof(sched::PositionLogprobs) +
         2 * (kAllocation + static_cast<size_t>(num_top) * sizeof(sched::TokenLogprob));
}

size_t bytes_per_token(const GenerationRequest& r) {
  return kTextBytes + (r.return_token_ids ? kIdBytes : 0) +
         (r.output_scores ? score_bytes(r.endpoint, *r.output_scores) : 0);
}

Status too_large(const GenerationRequest& r, size_t num_choices, const std::string& of_what,
                 size_t bytes, size_t max_bytes) {
  const char* logprobs = r.endpoint == Endpoint::kChat ? "top_logprobs" : "logprobs";
  const char* param = r.prompt_scores ? "prompt_logprobs" : r.output_scores ? logprobs : "n";
  return invalid(
      fmt::format(
          "the reply would come to about {:.1f} MB: {} choices of {}; allowed are {:.1f} MB "
          "(--max-reply-bytes): lower n, max_tokens, {} or prompt_logprobs, or send fewer "
          "prompts at once",
          static_cast<double>(bytes) / 1e6, num_choices, of_what,
          static_cast<double>(max_bytes) / 1e6, logprobs),
      param);
}

}  // namespace

size_t score_bytes(Endpoint endpoint, int num_top) {
  const auto others = static_cast<size_t>(num_top) + 1;
  return kPositionBytes +
         others * (endpoint == Endpoint::kChat ? kChatScoreBytes : kNamedScoreBytes);
}

size_t prompt_score_bytes(int num_top) {
  return (static_cast<size_t>(num_top) + 1) * kPromptScoreBytes;
}

size_t reply_bytes(const GenerationRequest& r, const Delta& whole) {
  return whole.content.size() + whole.reasoning.size() + whole.token_ids.size() * kIdBytes +
         whole.scores.size() * score_bytes(r.endpoint, r.output_scores.value_or(0)) +
         whole.prompt_scores.size() * prompt_score_bytes(r.prompt_scores.value_or(0));
}

size_t prompt_reply_bytes(const GenerationRequest& r, std::span<const PreparedPrompt> prompts) {
  size_t bytes = 0;
  for (const PreparedPrompt& prompt : prompts) {
    const size_t num_ids = prompt.ids.size();
    if (r.return_token_ids) bytes += num_ids * kIdBytes;
    if (r.prompt_scores) bytes += num_ids * prompt_score_bytes(*r.prompt_scores);
    if (r.echo) bytes += prompt.text.size();
    if (r.echo && r.output_scores) bytes += num_ids * score_bytes(r.endpoint, *r.output_scores);
  }
  return bytes * static_cast<size_t>(r.n);
}

Result<int> tokens_in_reply(const GenerationRequest& r, std::span<const PreparedPrompt> prompts,
                            int wanted, size_t max_bytes) {
  const size_t num_choices = prompts.size() * static_cast<size_t>(r.n);
  const size_t of_prompts = prompt_reply_bytes(r, prompts);
  if (of_prompts > max_bytes)
    return too_large(r, num_choices, "what is echoed and scored of their prompts", of_prompts,
                     max_bytes);
  if (r.stream) return wanted;
  const size_t per_token = num_choices * bytes_per_token(r);
  const size_t room = (max_bytes - of_prompts) / per_token;
  if (static_cast<size_t>(wanted) <= room) return wanted;
  if (r.asked_tokens() || room == 0)
    return too_large(r, num_choices, fmt::format("{} tokens", wanted),
                     of_prompts + per_token * static_cast<size_t>(wanted), max_bytes);
  return static_cast<int>(room);
}

size_t choice_memory(const sched::Request& choice) {
  const size_t num_prompt = choice.prompt.size();
  const auto num_new = static_cast<size_t>(choice.stop.max_new_tokens);
  const sched::SamplingParams& sampling = choice.sampling;
  size_t bytes = kChoiceBytes + num_prompt * kTokenBytes + num_new * kTokenBytes;
  if (sampling.logprobs >= 0) bytes += num_new * score_memory(sampling.logprobs);
  if (sampling.prompt_logprobs >= 0)
    bytes += num_prompt * 2 * score_memory(sampling.prompt_logprobs);
  bytes += sampling.logit_bias.size() * sizeof(sampling.logit_bias[0]);
  bytes += choice.stop.stop_token_ids.size() * sizeof(TokenId);
  for (const auto& word : sampling.bad_words)
    bytes += sizeof(word) + kAllocation + word.size() * sizeof(TokenId);
  return bytes;
}

}  // namespace erne::server
