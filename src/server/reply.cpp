#include "server/reply.h"

#include <fmt/format.h>

namespace erne::server {

Json usage_json(const Usage& usage) {
  return Json()
      .set("prompt_tokens", usage.prompt_tokens)
      .set("completion_tokens", usage.completion_tokens)
      .set("total_tokens", usage.prompt_tokens + usage.completion_tokens)
      .set("prompt_tokens_details", Json().set("cached_tokens", usage.cached_tokens))
      .set("completion_tokens_details", Json().set("reasoning_tokens", usage.reasoning_tokens));
}

Json ids_json(const std::vector<TokenId>& ids) {
  return Json::written(fmt::format("[{}]", fmt::join(ids, ",")));
}

std::string Reply::whole(std::string choices, const Usage& usage) const {
  return Json()
      .set("id", head_.id)
      .set("object", object(/*chunk=*/false))
      .set("created", head_.created_s)
      .set("model", head_.model)
      .set("choices", Json::written(std::move(choices)))
      .set("usage", usage_json(usage))
      .dump();
}

std::string Reply::chunk(Json::Array choices, const Usage* usage) const {
  Json out;
  out.set("id", head_.id)
      .set("object", object(/*chunk=*/true))
      .set("created", head_.created_s)
      .set("model", head_.model)
      .set("choices", std::move(choices));
  if (usage != nullptr)
    out.set("usage", usage_json(*usage));
  else if (request_.include_usage)
    out.set("usage", Json());
  return out.dump();
}

// Equal in all choices of a prompt, so written once.
Json Reply::written_prompt_scores(const Delta& delta, const PreparedPrompt& prompt) const {
  const auto [found, is_new] = prompt_scores_.try_emplace(&prompt);
  if (is_new) found->second = prompt_logprobs(delta.prompt_scores, names_);
  return found->second;
}

Json Reply::choice(int index, Part part, const Delta& delta, const PreparedPrompt& prompt) const {
  Json out;
  out.set("index", index);
  add_answer(out, part, delta, prompt);
  out.set("logprobs", delta.scores.empty() ? Json() : logprobs(delta.scores));
  if (!delta.prompt_scores.empty())
    out.set("prompt_logprobs", written_prompt_scores(delta, prompt));
  if (wants_ids()) add_ids(out, part, delta, prompt);
  out.set("finish_reason", delta.finish ? Json(finish_word(*delta.finish)) : Json());
  return out;
}

}  // namespace erne::server
