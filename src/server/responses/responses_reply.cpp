#include "server/responses/responses_reply.h"

#include <fmt/format.h>

#include "server/errors.h"

namespace erne::server::responses {
namespace {

constexpr std::string_view kIdPrefix = "resp_";

Json usage_json(const Usage& usage) {
  return Json()
      .set("input_tokens", usage.prompt_tokens)
      .set("input_tokens_details", Json().set("cached_tokens", usage.cached_tokens))
      .set("output_tokens", usage.completion_tokens)
      .set("output_tokens_details", Json().set("reasoning_tokens", usage.reasoning_tokens))
      .set("total_tokens", usage.prompt_tokens + usage.completion_tokens);
}

}  // namespace

ResponsesReply::ResponsesReply(ReplyHead head, Json repeated, const GenerationRequest& request,
                               TokenNames names, Keep keep)
    : head_(std::move(head)),
      repeated_(std::move(repeated)),
      request_(request),
      names_(names),
      keep_(std::move(keep)) {
  if (!head_.id.starts_with(kIdPrefix)) head_.id.insert(0, kIdPrefix);
}

ResponsesReply::~ResponsesReply() {
  if (begun_ && !over_) ends_as("cancelled");
}

// `data` after the event's name and its number.
std::string ResponsesReply::event(std::string_view name, Json data) {
  Json numbered = Json().set("type", name).set("sequence_number", num_events_++);
  for (auto& [key, value] : data.as_object()) numbered.set(key, std::move(value));
  return event_text(numbered.dump(), name);
}

// About the item that is open.
std::string ResponsesReply::item_event(std::string_view name, Json data) {
  data.set("item_id", open_->id).set("output_index", static_cast<int64_t>(items_.size()));
  if (open_->kind != Kind::kCall) data.set("content_index", 0);
  return event(name, std::move(data));
}

Json ResponsesReply::part_json(const Item& item) const {
  if (item.kind == Kind::kReasoning)
    return Json().set("type", "reasoning_text").set("text", item.text);
  return Json()
      .set("type", "output_text")
      .set("text", item.text)
      .set("annotations", Json::Array())
      .set("logprobs", item.scores);
}

Json ResponsesReply::item_json(const Item& item, std::string_view status) const {
  const bool is_new = status == "in_progress";
  const Json::Array content = is_new ? Json::Array() : Json::Array{part_json(item)};
  Json json = Json().set("id", item.id).set("status", status);
  switch (item.kind) {
    case Kind::kReasoning:
      json.set("type", "reasoning").set("summary", Json::Array()).set("content", content);
      break;
    case Kind::kMessage:
      json.set("type", "message").set("role", "assistant").set("content", content);
      break;
    case Kind::kCall:
      json.set("type", "function_call")
          .set("call_id", item.call_id)
          .set("name", item.name)
          .set("arguments", item.text);
      break;
  }
  return json;
}

Json ResponsesReply::response(std::string_view status) const {
  Json json = Json()
                  .set("id", head_.id)
                  .set("object", "response")
                  .set("created_at", head_.created_s)
                  .set("status", status)
                  .set("error", error_)
                  .set("incomplete_details",
                       status == "incomplete" ? Json().set("reason", "max_output_tokens") : Json())
                  .set("model", head_.model)
                  .set("output", items_);
  for (const auto& [name, value] : repeated_.as_object()) json.set(name, value);
  json.set("temperature", double{request_.sampling.temperature})
      .set("top_p", double{request_.sampling.top_p})
      .set("usage", usage_);
  return json;
}

Json ResponsesReply::ends_as(std::string_view status) {
  over_ = true;
  Json now = response(status);
  keep_(head_.id, now);
  return now;
}

std::string ResponsesReply::begin() {
  if (std::exchange(begun_, true)) return {};
  const Json now = response("in_progress");
  keep_(head_.id, now);
  std::string events = event("response.created", Json().set("response", now));
  events += event("response.in_progress", Json().set("response", now));
  return events;
}

std::string ResponsesReply::add(Kind kind, const Delta& delta, const ToolCallDelta* call) {
  std::string events;
  const int number = call == nullptr ? 0 : call->index;
  if (!open_ || open_->kind != kind || open_->call != number) {
    events += close(/*complete=*/true);
    constexpr const char* kPrefixes[] = {"rs", "msg", "fc"};
    open_ = Item{.kind = kind,
                 .call = number,
                 .id = fmt::format("{}_{}_{}", kPrefixes[static_cast<int>(kind)],
                                   head_.id.substr(kIdPrefix.size()), items_.size()),
                 .text = {},
                 .call_id = call == nullptr ? "" : call->id,
                 .name = call == nullptr ? "" : call->name};
    events += event("response.output_item.added",
                    Json()
                        .set("output_index", static_cast<int64_t>(items_.size()))
                        .set("item", item_json(*open_, "in_progress")));
    if (kind != Kind::kCall)
      events += item_event("response.content_part.added", Json().set("part", part_json(*open_)));
  }
  switch (kind) {
    case Kind::kReasoning:
      open_->text += delta.reasoning;
      return events +
             item_event("response.reasoning_text.delta", Json().set("delta", delta.reasoning));
    case Kind::kMessage: {
      open_->text += delta.content;
      Json scores = Json::Array();
      if (!delta.scores.empty()) scores = *chat_logprobs(delta.scores, names_).find("content");
      for (const Json& score : scores.as_array()) open_->scores.as_array().push_back(score);
      return events + item_event("response.output_text.delta",
                                 Json().set("delta", delta.content).set("logprobs", scores));
    }
    case Kind::kCall:
      open_->text += call->arguments;
      return events + item_event("response.function_call_arguments.delta",
                                 Json().set("delta", call->arguments));
  }
  return events;
}

std::string ResponsesReply::close(bool complete) {
  if (!open_) return {};
  std::string events;
  if (open_->kind == Kind::kReasoning)
    events += item_event("response.reasoning_text.done", Json().set("text", open_->text));
  if (open_->kind == Kind::kMessage)
    events += item_event("response.output_text.done",
                         Json().set("text", open_->text).set("logprobs", open_->scores));
  if (open_->kind == Kind::kCall)
    events += item_event("response.function_call_arguments.done",
                         Json().set("name", open_->name).set("arguments", open_->text));
  else
    events += item_event("response.content_part.done", Json().set("part", part_json(*open_)));
  Json item = item_json(*open_, complete ? "completed" : "incomplete");
  events +=
      event("response.output_item.done",
            Json().set("output_index", static_cast<int64_t>(items_.size())).set("item", item));
  items_.push_back(std::move(item));
  open_.reset();
  return events;
}

std::string ResponsesReply::gained(int, const Delta& delta, const PreparedPrompt&, const Usage&) {
  std::string events = begin();
  if (!delta.reasoning.empty()) events += add(Kind::kReasoning, delta, nullptr);
  if (!delta.content.empty()) events += add(Kind::kMessage, delta, nullptr);
  for (const ToolCallDelta& call : delta.tool_calls) events += add(Kind::kCall, delta, &call);
  if (delta.finish) finish_ = delta.finish;
  return events;
}

std::string ResponsesReply::end(const Usage& usage) {
  std::string events = begin();
  const bool cut = finish_ == Finish::kLength;
  events += close(!cut);
  usage_ = usage_json(usage);
  const Json now = ends_as(cut ? "incomplete" : "completed");
  return events +
         event(cut ? "response.incomplete" : "response.completed", Json().set("response", now));
}

std::string ResponsesReply::ended(const Usage& usage) {
  return end(usage);
}

std::string ResponsesReply::failed(const Status& status) {
  std::string events = begin();
  events += close(/*complete=*/false);
  error_ = Json().set("code", "server_error").set("message", status.message);
  const Json now = ends_as("failed");
  return events + event("response.failed", Json().set("response", now));
}

void ResponsesReply::add_whole(int index, const Delta& whole, const PreparedPrompt& prompt,
                               std::string&) {
  gained(index, whole, prompt, {});
}

std::string ResponsesReply::whole(std::string, const Usage& usage) {
  end(usage);
  return response(finish_ == Finish::kLength ? "incomplete" : "completed").dump();
}

}  // namespace erne::server::responses
