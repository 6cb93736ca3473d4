#include "server/answer_rules.h"

#include <fmt/format.h>

#include <utility>

namespace erne::server {
namespace {

constexpr std::string_view kThoughtBegins = "<think>";
constexpr std::string_view kThoughtEnds = "</think>";

Status naming(const AnswerFormat& format, const Status& status) {
  // Too much memory or time is the request's fault here, and no matter of the context's length.
  const Code code = status.code == Code::kExhausted ? status.code : Code::kInvalid;
  return {code, fmt::format("{}: {}", format.field, status.message), format.field};
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \n") == std::string_view::npos;
}

// The output begins in a thought where the prompt ends with the beginning of one. What a message
// says about <think> is followed by more than white space.
std::optional<grammar::ThoughtRules> thought_of(const ServerContext& context,
                                                std::span<const TokenId> prompt) {
  const auto begin = context.tokenizer->find(kThoughtBegins);
  const auto end = context.tokenizer->find(kThoughtEnds);
  if (!begin || !end) return std::nullopt;
  for (size_t i = prompt.size(); i-- > 0;) {
    if (prompt[i] == *begin)
      return grammar::ThoughtRules{.end = *end, .max_tokens = {}, .closing = {}};
    if (!is_blank(context.tokenizer->token_bytes(prompt[i]))) return std::nullopt;
  }
  return std::nullopt;
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
  if (grammar == nullptr) return;
  auto rules = std::make_shared<grammar::AnswerRules>();
  rules->thought = thought_of(context, prompt);
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
