// /v1/messages: a "message" of blocks (thinking, text, tool_use), whole or as named events.
#include <optional>

#include "server/dialect.h"
#include "server/errors.h"
#include "server/reply.h"

namespace erne::server::anthropic {
namespace {

constexpr std::string_view kIdPrefix = "msg_";

Json usage_json(const Usage& usage) {
  return Json()
      .set("input_tokens", usage.prompt_tokens - usage.cached_tokens)
      .set("cache_creation_input_tokens", 0)
      .set("cache_read_input_tokens", usage.cached_tokens)
      .set("output_tokens", usage.completion_tokens);
}

Json thinking_block(std::string text) {
  return Json().set("type", "thinking").set("thinking", std::move(text)).set("signature", "");
}
Json text_block(std::string text) {
  return Json().set("type", "text").set("text", std::move(text));
}
Json call_block(const ToolCallDelta& call, Json input) {
  return Json()
      .set("type", "tool_use")
      .set("id", call.id)
      .set("name", call.name)
      .set("input", std::move(input));
}

// A call's arguments; text that is no JSON, of an answer that was cut, as it is.
Json input_of(const ToolCallDelta& call) {
  Result<Json> input = Json::parse(call.arguments);
  return input.ok() ? std::move(input).value() : Json(call.arguments);
}

class MessagesReply final : public Reply {
 public:
  MessagesReply(ReplyHead head, const GenerationRequest&, TokenNames) : head_(std::move(head)) {
    if (!head_.id.starts_with(kIdPrefix)) head_.id.insert(0, kIdPrefix);
  }

  std::string gained(int, const Delta& delta, const PreparedPrompt&, const Usage& so_far) override {
    std::string events = begin(so_far);
    if (!delta.reasoning.empty())
      events += add(Kind::kThinking, 0, thinking_block(""),
                    Json().set("type", "thinking_delta").set("thinking", delta.reasoning));
    if (!delta.content.empty())
      events += add(Kind::kText, 0, text_block(""),
                    Json().set("type", "text_delta").set("text", delta.content));
    for (const ToolCallDelta& call : delta.tool_calls)
      events += add(Kind::kCall, call.index, call_block(call, Json::Object()),
                    Json().set("type", "input_json_delta").set("partial_json", call.arguments));
    note_end(delta);
    return events;
  }

  std::string ended(const Usage& usage) override {
    std::string events = begin(usage);
    events += close();
    events +=
        event("message_delta", Json().set("delta", end_json()).set("usage", usage_json(usage)));
    return events + event("message_stop", Json());
  }

  std::string failed(const Status& status) override {
    return event_text(anthropic_error(http_status(status.code), status.message).dump(), "error");
  }

  void add_whole(int, const Delta& whole, const PreparedPrompt&, std::string& choices) override {
    Json::Array blocks;
    if (!whole.reasoning.empty()) blocks.push_back(thinking_block(whole.reasoning));
    if (!whole.content.empty()) blocks.push_back(text_block(whole.content));
    for (const ToolCallDelta& call : whole.tool_calls)
      blocks.push_back(call_block(call, input_of(call)));
    Json(std::move(blocks)).dump_to(choices);
    note_end(whole);
  }

  std::string whole(std::string choices, const Usage& usage) override {
    return message(Json::written(std::move(choices)), usage).dump();
  }

 private:
  enum class Kind { kThinking, kText, kCall };
  struct Block {
    Kind kind;
    int call;  // which one; 0 for other kinds
    bool operator==(const Block&) const = default;
  };

  // `data` gets the event's name as its type.
  static std::string event(std::string_view name, Json data) {
    Json typed = Json().set("type", name);
    if (data.is_object())
      for (auto& [key, value] : data.as_object()) typed.set(key, std::move(value));
    return event_text(typed.dump(), name);
  }

  Json end_json() const {
    return Json().set("stop_reason", stop_reason_).set("stop_sequence", stop_sequence_);
  }

  Json message(Json content, const Usage& usage) const {
    Json out;
    out.set("id", head_.id)
        .set("type", "message")
        .set("role", "assistant")
        .set("model", head_.model)
        .set("content", std::move(content))
        .set("stop_reason", stop_reason_)
        .set("stop_sequence", stop_sequence_)
        .set("usage", usage_json(usage));
    return out;
  }

  std::string begin(const Usage& so_far) {
    if (std::exchange(begun_, true)) return {};
    return event("message_start", Json().set("message", message(Json::Array(), so_far)));
  }

  std::string add(Kind kind, int call, Json block, Json gained) {
    std::string events;
    if (const Block wanted{kind, call}; open_ != wanted) {
      events += close();
      open_ = wanted;
      events += event("content_block_start",
                      Json().set("index", num_closed_).set("content_block", std::move(block)));
    }
    return events + event("content_block_delta",
                          Json().set("index", num_closed_).set("delta", std::move(gained)));
  }

  std::string close() {
    if (!open_) return {};
    open_.reset();
    return event("content_block_stop", Json().set("index", num_closed_++));
  }

  void note_end(const Delta& delta) {
    if (!delta.finish) return;
    switch (*delta.finish) {
      case Finish::kLength:
        stop_reason_ = "max_tokens";
        break;
      case Finish::kToolCalls:
        stop_reason_ = "tool_use";
        break;
      case Finish::kStop:
        stop_reason_ = delta.stop.empty() ? "end_turn" : "stop_sequence";
        if (!delta.stop.empty()) stop_sequence_ = delta.stop;
        break;
    }
  }

  ReplyHead head_;
  Json stop_reason_, stop_sequence_;  // null until the end
  bool begun_ = false;
  std::optional<Block> open_;
  int num_closed_ = 0;
};

}  // namespace

std::unique_ptr<Reply> make_messages_reply(ReplyHead head, const GenerationRequest& request,
                                           TokenNames names) {
  return std::make_unique<MessagesReply>(std::move(head), request, names);
}

}  // namespace erne::server::anthropic
