#include "server/openai_reply.h"

#include "server/errors.h"

namespace erne::server {
namespace {

constexpr std::string_view kDone = "[DONE]";  // ends every stream

Json usage_json(const Usage& usage) {
  return Json()
      .set("prompt_tokens", usage.prompt_tokens)
      .set("completion_tokens", usage.completion_tokens)
      .set("total_tokens", usage.prompt_tokens + usage.completion_tokens)
      .set("prompt_tokens_details", Json().set("cached_tokens", usage.cached_tokens))
      .set("completion_tokens_details", Json().set("reasoning_tokens", usage.reasoning_tokens));
}

}  // namespace

OpenAiReply::OpenAiReply(ReplyHead head, const GenerationRequest& request, TokenNames names,
                         std::string_view id_prefix)
    : head_(std::move(head)), request_(request), names_(names) {
  if (!head_.id.starts_with(id_prefix)) head_.id.insert(0, id_prefix);
}

std::string OpenAiReply::gained(int index, const Delta& delta, const PreparedPrompt& prompt,
                                const Usage& so_far) {
  const Usage* usage = request_.continuous_usage ? &so_far : nullptr;
  const bool first = num_chunks_[index]++ == 0;
  std::string events;
  if (first && has_opening())
    events += event_text(chunk({choice(index, Part::kOpening, {}, prompt)}, usage));
  const Part part = first ? Part::kFirst : Part::kNext;
  events += event_text(chunk({choice(index, part, delta, prompt)}, usage));
  return events;
}

std::string OpenAiReply::ended(const Usage& usage) {
  return (request_.include_usage ? event_text(chunk({}, &usage)) : std::string()) +
         event_text(kDone);
}

std::string OpenAiReply::failed(const Status& status) {
  return event_text(error_object(status).dump()) + event_text(kDone);
}

void OpenAiReply::add_whole(int index, const Delta& whole, const PreparedPrompt& prompt,
                            std::string& choices) {
  if (!choices.empty()) choices += ',';
  choice(index, Part::kWhole, whole, prompt).dump_to(choices);
}

std::string OpenAiReply::whole(std::string choices, const Usage& usage) {
  return Json()
      .set("id", head_.id)
      .set("object", object(/*chunk=*/false))
      .set("created", head_.created_s)
      .set("model", head_.model)
      .set("choices", Json::written("[" + std::move(choices) + "]"))
      .set("usage", usage_json(usage))
      .dump();
}

std::string OpenAiReply::chunk(Json::Array choices, const Usage* usage) const {
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

// {"index", what the endpoint calls the answer, "logprobs", "prompt_logprobs", "finish_reason"}.
Json OpenAiReply::choice(int index, Part part, const Delta& delta, const PreparedPrompt& prompt) {
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

// Equal in all choices of a prompt, so written once.
Json OpenAiReply::written_prompt_scores(const Delta& delta, const PreparedPrompt& prompt) {
  const auto [found, is_new] = prompt_scores_.try_emplace(&prompt);
  if (is_new) found->second = prompt_logprobs(delta.prompt_scores, names_);
  return found->second;
}

}  // namespace erne::server
