#include "server/answer_rules.h"

#include <fmt/format.h>

#include <utility>

#include "server/parsers/tag_style.h"

namespace erne::server {
namespace {

Status naming(const AnswerFormat& format, const Status& status) {
  // Too much memory or time is the request's fault here, and no matter of the context's length.
  const Code code = status.code == Code::kExhausted ? status.code : Code::kInvalid;
  return {code, fmt::format("{}: {}", format.field, status.message), format.field};
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \n") == std::string_view::npos;
}

// A completion's prompt is the client's own: it opens a thought if nothing but white space follows
// <think>; what it says about <think> is followed by more.
bool opens_thought(std::span<const TokenId> prompt, const text::Tokenizer& tokenizer) {
  const auto begin = tokenizer.find(kThink);
  for (size_t i = prompt.size(); begin && i-- > 0;) {
    if (prompt[i] == *begin) return true;
    if (!is_blank(tokenizer.token_bytes(prompt[i]))) break;
  }
  return false;
}

std::optional<grammar::ThoughtRules> thought_of(const ServerContext& context,
                                                const GenerationRequest& r,
                                                std::span<const TokenId> prompt) {
  const bool thinks = r.endpoint == Endpoint::kChat ? context.thinks_first(prompt)
                                                    : opens_thought(prompt, *context.tokenizer);
  if (!thinks) return std::nullopt;
  const std::optional<TokenId> end = context.tokenizer->find(kThinkEnd);
  if (!end) return std::nullopt;
  grammar::ThoughtRules thought{.end = *end, .max_tokens = r.max_thought, .closing = {}};
  if (r.max_thought) {
    thought.closing = context.tokenizer->encode(r.thought_closing + "\n", text::Specials::kAsText,
                                                /*at_start=*/false);
    thought.closing.push_back(*end);
  }
  return thought;
}

}  // namespace

Result<std::shared_ptr<const grammar::Grammar>> compile_grammar(const ServerContext& context,
                                                                const GenerationRequest& r,
                                                                RequestWork& work) {
  using Compiled = std::shared_ptr<const grammar::Grammar>;
  if (!r.answer_format) return Compiled();
  const AnswerFormat& format = *r.answer_format;
  if (context.grammars == nullptr)
    return unsupported(
        fmt::format("{} needs a tokenizer, and this server runs without one", format.field),
        format.field);
  if (!r.completion_token_ids.empty())
    return unsupported(
        fmt::format("{} together with completion_token_ids is not built yet", format.field),
        format.field);
  const auto* tag = std::get_if<grammar::StructuralTag>(&format.what);
  const grammar::Source source = tag != nullptr ? grammar::source_of(*tag, *context.tokenizer)
                                                : std::get<grammar::Source>(format.what);
  TRY(work.memory.take(grammar::kMaxCompilingBytes, "compiling the answer's grammar"));
  Result<Compiled> compiled = context.grammars->compile(source);
  const size_t held = compiled.ok() ? (*compiled)->bytes() : 0;
  work.memory.give_back(grammar::kMaxCompilingBytes - std::min(held, grammar::kMaxCompilingBytes));
  if (!compiled.ok()) return naming(format, compiled.status());
  return compiled;
}

void set_answer_rules(const ServerContext& context, const GenerationRequest& r,
                      std::shared_ptr<const grammar::Grammar> grammar,
                      std::span<const TokenId> prompt, sched::Request& choice) {
  if (context.tokenizer == nullptr || (grammar == nullptr && !r.max_thought)) return;
  auto rules = std::make_shared<grammar::AnswerRules>();
  rules->thought = thought_of(context, r, prompt);
  if (grammar == nullptr) {
    if (rules->thought) choice.notes = std::move(rules);
    return;
  }
  rules->grammar = std::move(grammar);
  rules->end_ids = choice.stop.eos_ids;
  rules->end_ids.insert(rules->end_ids.end(), r.stop_token_ids.begin(), r.stop_token_ids.end());
  rules->min_tokens = r.min_tokens;
  rules->ends_late = r.ignore_eos;
  // From here on the rules decide (answer_constraint.h).
  choice.stop.ignore_eos = false;
  choice.stop.min_new_tokens = 0;
  choice.notes = std::move(rules);
}

}  // namespace erne::server
