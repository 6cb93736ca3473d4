#include "server/prepare.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/answer_rules.h"
#include "server/request_cost.h"
#include "server/text_offsets.h"

namespace erne::server {
namespace {

// A seed has 65 bits, the sign in a bit of the stream that no choice's number has: -1 and 2^64 - 1
// draw differently.
constexpr uint64_t kNegativeSeeds = uint64_t{1} << 63;

constexpr size_t kMaxTotalPromptTokens = size_t{8} << 20;  // of all choices of a request

// Memory for rendering a chat. A template's engine reads the messages as JSON and makes values of
// its own of them before it writes the text, which then becomes tokens.
constexpr size_t kRenderingCopies = 10;
constexpr size_t kRenderingPerValue = 600;
constexpr size_t kEncodingBytes = 12;  // of ids per byte of text, at worst, while their list grows
constexpr size_t kEncodingWindow = size_t{32} << 10;  // bytes of text that are under way at once
constexpr size_t kEncodingWindowBytes = 100;          // of each of them

size_t encoding_bytes(size_t text_bytes) {
  return kEncodingBytes * text_bytes + kEncodingWindowBytes * std::min(text_bytes, kEncodingWindow);
}

size_t rendering_bytes(const GenerationRequest& chat) {
  const size_t text_bytes = chat.messages.num_text_bytes() + chat.tools.num_text_bytes();
  return kRenderingCopies * text_bytes +
         kRenderingPerValue * (chat.messages.num_values() + chat.tools.num_values()) +
         encoding_bytes(text_bytes);
}

// What was asked of a model's thoughts is as its template has it, or refused.
Result<void> check_thinking(const ServerContext& context, const GenerationRequest& chat,
                            const std::vector<TokenId>& prompt) {
  const bool thinks = context.thinks_first(prompt);
  if (!chat.thinking || *chat.thinking == thinks) return {};
  return unsupported(thinks
                         ? "this model always thinks: its chat template has no way to turn that off"
                         : "this model does not think: its chat template has no place for thoughts",
                     chat.thinking_field);
}

Status needs_tokenizer(const char* field) {
  return unsupported(
      fmt::format("this server runs without a tokenizer: {} must be token ids", field), field);
}

// A text that is too long names what would fit.
Status with_context_length(const ServerContext& context, Status status) {
  if (status.code == Code::kTooLong)
    status.message = fmt::format("this model's maximum context length is {} tokens: {}",
                                 context.options.max_model_len, status.message);
  return status;
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
                                      const Prompt& prompt, RequestWork& work) {
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
  auto ids = encode(context, out.text, context.limits().max_prompt_tokens(), work);
  if (!ids.ok()) return with_context_length(context, ids.status());
  out.ids = std::move(ids).value();
  if (r.echo && r.output_scores)
    out.text_offsets = offsets_in(out.text, out.ids, *context.tokenizer);
  return out;
}

Result<std::vector<PreparedPrompt>> prepare_prompts(const ServerContext& context,
                                                    const GenerationRequest& r, RequestWork& work) {
  std::vector<PreparedPrompt> prompts;
  if (r.prompts.empty()) prompts.push_back(TRY(render_chat(context, r, work)));
  for (const Prompt& prompt : r.prompts)
    prompts.push_back(TRY(prepare_prompt(context, r, prompt, work)));
  size_t num_tokens = 0;
  for (PreparedPrompt& prompt : prompts) {
    prompt.ids.insert(prompt.ids.end(), r.completion_token_ids.begin(),
                      r.completion_token_ids.end());
    echo_ids(context, r, r.completion_token_ids, prompt);
    if (!r.echo) prompt.text = {};
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

Result<std::vector<TokenId>> encode(const ServerContext& context, std::string_view text,
                                    size_t max_tokens, RequestWork& work) {
  const size_t bytes = encoding_bytes(text.size());
  TRY(work.memory.take(bytes, "the prompt's tokens"));
  Result<std::vector<TokenId>> ids = context.tokenizer->encode_within(
      text, text::Specials::kParse, {max_tokens, [&work] { return work.is_wanted(); }});
  if (!ids.ok()) return Status{ids.status().code, ids.status().message, "prompt"};
  work.memory.give_back(bytes - std::min(bytes, ids->capacity() * sizeof(TokenId)));
  return ids;
}

Result<PreparedPrompt> render_chat(const ServerContext& context, const GenerationRequest& chat,
                                   RequestWork& work) {
  if (context.tokenizer == nullptr) return needs_tokenizer("messages");
  if (context.chat == nullptr)
    return unsupported("the checkpoint has no chat template: send prompts to /v1/completions",
                       "messages");
  const size_t bytes = rendering_bytes(chat);
  TRY(work.memory.take(bytes, "the chat"));
  const bool told = chat.tool_choice != ToolChoice::kNone;
  Result<text::RenderedChat> rendered = context.chat->render(
      chat.messages, told ? chat.tools : Json(), chat.template_variables,
      {context.limits().max_prompt_tokens(), [&work] { return work.is_wanted(); }});
  if (!rendered.ok()) return with_context_length(context, rendered.status());
  TRY(check_thinking(context, chat, rendered->ids));
  work.memory.give_back(bytes - std::min(bytes, rendered->text.capacity() +
                                                    rendered->ids.capacity() * sizeof(TokenId)));
  return PreparedPrompt{std::move(rendered->ids), std::move(rendered->text), {}};
}

Result<PreparedRequest> prepare(const ServerContext& context, uint64_t seed,
                                const GenerationRequest& r, RequestWork& work) {
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
  PreparedRequest prepared{TRY(prepare_prompts(context, r, work)), {}};
  TRY(work.memory.take(kReplyCopies * prompt_reply_bytes(r, prepared.prompts),
                       "the reply's part about its prompts"));
  const std::shared_ptr<const grammar::Grammar> grammar = TRY(compile_grammar(context, r, work));
  for (const PreparedPrompt& prompt : prepared.prompts) {
    sched::Request request = common;
    set_answer_rules(context, r, grammar, prompt.ids, request);
    request.prompt = prompt.ids;
    request.stop.max_new_tokens =
        TRY(tokens_in_reply(r, prepared.prompts, TRY(max_new_tokens(context, r, prompt)),
                            context.options.max_reply_bytes));
    TRY(work.memory.take(choice_memory(request) * static_cast<size_t>(r.n), "all choices"));
    for (int k = 0; k < r.n; ++k) {
      if (k > 0) request.sampling.prompt_logprobs = -1;  // the first choice's serve all
      request.sampling.stream = k | (is_negative ? kNegativeSeeds : 0);
      prepared.choices.push_back(request);
    }
  }
  return prepared;
}

}  // namespace erne::server
