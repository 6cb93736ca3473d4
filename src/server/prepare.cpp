#include "server/prepare.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/text_offsets.h"

namespace erne::server {
namespace {

// A seed has 65 bits, the sign in a bit of the stream that no choice's number has: -1 and 2^64 - 1
// draw differently.
constexpr uint64_t kNegativeSeeds = uint64_t{1} << 63;

constexpr size_t kMaxTotalPromptTokens = size_t{8} << 20;  // of all choices of a request

Status needs_tokenizer(const char* field) {
  return unsupported(
      fmt::format("this server runs without a tokenizer: {} must be token ids", field), field);
}

// Appends ids to what is echoed, with what they say.
void echo_ids(const ServerContext& context, const GenerationRequest& r,
              const std::vector<TokenId>& ids, PreparedPrompt& prompt) {
  if (!r.echo || context.tokenizer == nullptr) return;
  CountingDetokenizer detokenizer(*context.tokenizer, r.skip_special_tokens,
                                  num_characters(prompt.text));
  for (const TokenId id : ids) {
    const CountingDetokenizer::Pushed pushed = detokenizer.push(id);
    prompt.text += pushed.text;
    if (r.output_scores) prompt.text_offsets.push_back(pushed.offset);
  }
  prompt.text += detokenizer.finish();
}

Result<PreparedPrompt> prepare_prompt(const ServerContext& context, const GenerationRequest& r,
                                      const Prompt& prompt) {
  PreparedPrompt out;
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt)) {
    out.ids = *ids;
    echo_ids(context, r, out.ids, out);
    return out;
  }
  if (context.tokenizer == nullptr) return needs_tokenizer("prompt");
  out.text = std::get<std::string>(prompt);
  if (context.tokenizer->least_tokens(out.text.size()) >
      static_cast<size_t>(context.options.max_model_len))
    return Status{Code::kTooLong,
                  fmt::format("prompt has {} bytes of text, certainly more than this model's "
                              "maximum context length of {} tokens",
                              out.text.size(), context.options.max_model_len),
                  "prompt"};
  out.ids = context.tokenizer->encode(out.text, text::Specials::kParse);
  if (r.echo && r.output_scores)
    out.text_offsets = offsets_in(out.text, out.ids, *context.tokenizer);
  return out;
}

Result<std::vector<PreparedPrompt>> prepare_prompts(const ServerContext& context,
                                                    const GenerationRequest& r) {
  std::vector<PreparedPrompt> prompts;
  if (r.prompts.empty())
    prompts.push_back(TRY(render_chat(context, r.messages, r.template_variables)));
  for (const Prompt& prompt : r.prompts) prompts.push_back(TRY(prepare_prompt(context, r, prompt)));
  size_t num_tokens = 0;
  for (PreparedPrompt& prompt : prompts) {
    prompt.ids.insert(prompt.ids.end(), r.completion_token_ids.begin(),
                      r.completion_token_ids.end());
    echo_ids(context, r, r.completion_token_ids, prompt);
    num_tokens += prompt.ids.size() * r.n;
  }
  if (num_tokens > kMaxTotalPromptTokens)
    return invalid(fmt::format("the prompts of all choices have {} tokens, allowed are {}",
                               num_tokens, kMaxTotalPromptTokens),
                   "n");
  return prompts;
}

// The most tokens that may follow the prompt.
Result<int> max_new_tokens(const ServerContext& context, const GenerationRequest& r,
                           const PreparedPrompt& prompt) {
  const char* param = r.endpoint == Endpoint::kChat ? "messages" : "prompt";
  const int num_prompt = static_cast<int>(prompt.ids.size());
  if (num_prompt == 0) return invalid(fmt::format("{} has no tokens", param), param);
  const int room = context.options.max_model_len - num_prompt;
  const int asked = r.asked_tokens().value_or(std::max(room, 1));
  const int least = asked == 0 ? 0 : std::max(r.min_tokens, 1);
  if (room < least)
    return Status{Code::kTooLong,
                  fmt::format("this model's maximum context length is {} tokens: {} of the prompt "
                              "and at least {} to generate do not fit",
                              context.options.max_model_len, num_prompt, least),
                  param};
  return std::min(asked, room);
}

// A word is forbidden as a beginning and inside a text, where a space precedes it.
Result<std::vector<std::vector<TokenId>>> bad_words(const ServerContext& context,
                                                    const GenerationRequest& r) {
  std::vector<std::vector<TokenId>> out = r.bad_words_token_ids;
  if (!r.bad_words.empty() && context.tokenizer == nullptr) return needs_tokenizer("bad_words");
  for (const std::string& word : r.bad_words)
    for (const std::string& form : {word, " " + word})
      out.push_back(context.tokenizer->encode(form, text::Specials::kAsText));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace

Result<PreparedPrompt> render_chat(const ServerContext& context, const Json& messages,
                                   const Json& template_variables) {
  if (context.tokenizer == nullptr) return needs_tokenizer("messages");
  if (context.chat == nullptr)
    return unsupported("the checkpoint has no chat template: send prompts to /v1/completions",
                       "messages");
  text::RenderedChat rendered = TRY(context.chat->render(
      messages, Json(), template_variables, {static_cast<size_t>(context.options.max_model_len)}));
  return PreparedPrompt{std::move(rendered.ids), std::move(rendered.text), {}};
}

Result<PreparedRequest> prepare(const ServerContext& context, uint64_t seed,
                                const GenerationRequest& r) {
  if (!r.stop.empty() && context.tokenizer == nullptr)
    return unsupported("this server runs without a tokenizer: use stop_token_ids", "stop");
  sched::Request common;
  common.sampling = r.sampling;
  common.sampling.seed = r.seed ? r.seed->bits : seed;
  common.sampling.logprobs = r.output_scores.value_or(-1);
  common.sampling.prompt_logprobs =
      std::max(r.prompt_scores.value_or(-1), r.echo ? common.sampling.logprobs : -1);
  common.sampling.bad_words = TRY(bad_words(context, r));
  common.stop.eos_ids = context.options.eos_ids;
  common.stop.stop_token_ids = r.stop_token_ids;
  common.stop.ignore_eos = r.ignore_eos;
  common.stop.min_new_tokens = r.min_tokens;

  const bool is_negative = r.seed && r.seed->is_negative;
  PreparedRequest prepared{TRY(prepare_prompts(context, r)), {}};
  for (const PreparedPrompt& prompt : prepared.prompts) {
    sched::Request request = common;
    request.prompt = prompt.ids;
    request.stop.max_new_tokens = TRY(max_new_tokens(context, r, prompt));
    for (int k = 0; k < r.n; ++k) {
      request.sampling.stream = k | (is_negative ? kNegativeSeeds : 0);
      prepared.choices.push_back(request);
    }
  }
  return prepared;
}

}  // namespace erne::server
