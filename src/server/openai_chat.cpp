// /v1/chat/completions: "chat.completion" and its chunks.
#include "server/openai_reply.h"

namespace erne::server {
namespace {

// {"index", "id", "type", "function": {"name", "arguments"}}; a chunk has what was gained, and id,
// type and name are in a call's first.
Json tool_calls_json(const std::vector<ToolCallDelta>& calls, Part part) {
  Json::Array out;
  for (const ToolCallDelta& call : calls) {
    Json json, function;
    if (part != Part::kWhole) json.set("index", call.index);
    if (!call.id.empty()) json.set("id", call.id).set("type", "function");
    if (!call.name.empty()) function.set("name", call.name);
    function.set("arguments", call.arguments);
    out.push_back(std::move(json.set("function", std::move(function))));
  }
  return out;
}

class ChatReply final : public OpenAiReply {
 public:
  using OpenAiReply::OpenAiReply;

 private:
  bool has_opening() const override { return true; }
  std::string_view object(bool chunk) const override {
    return chunk ? "chat.completion.chunk" : "chat.completion";
  }
  Json logprobs(const std::vector<ScoredToken>& scores) const override {
    return chat_logprobs(scores, names_);
  }
  void add_answer(Json& choice, Part part, const Delta& delta,
                  const PreparedPrompt& prompt) const override {
    const bool is_whole = part == Part::kWhole, begins = is_whole || part == Part::kOpening;
    Json answer = Json::Object();
    if (begins) answer.set("role", "assistant");
    if (!delta.reasoning.empty()) answer.set("reasoning_content", delta.reasoning);
    const bool only_calls = is_whole && delta.content.empty() && !delta.tool_calls.empty();
    if (begins || !delta.content.empty())
      answer.set("content", only_calls ? Json() : Json(delta.content));
    if (!delta.tool_calls.empty())
      answer.set("tool_calls", tool_calls_json(delta.tool_calls, part));
    if (is_whole) answer.set("refusal", Json());
    if (wants_ids() && begins) answer.set("prompt_token_ids", ids_json(prompt.ids));
    if (wants_ids() && part != Part::kOpening)
      answer.set("completion_token_ids", ids_json(delta.token_ids));
    choice.set(is_whole ? "message" : "delta", std::move(answer));
  }
  void add_ids(Json&, Part, const Delta&, const PreparedPrompt&) const override {}
};

}  // namespace

std::unique_ptr<Reply> make_chat_reply(ReplyHead head, const GenerationRequest& request,
                                       TokenNames names) {
  return std::make_unique<ChatReply>(std::move(head), request, names, "chatcmpl-");
}

}  // namespace erne::server
