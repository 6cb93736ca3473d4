// /v1/chat/completions: "chat.completion" and its chunks.
#include "server/reply.h"

namespace erne::server {
namespace {

class ChatReply final : public Reply {
 public:
  using Reply::Reply;

  Json whole_choice(int index, const Piece& all, const PreparedPrompt& prompt) const override {
    Json message;
    message.set("role", "assistant").set("content", all.text).set("refusal", Json());
    if (wants_ids())
      message.set("prompt_token_ids", ids_json(prompt.ids))
          .set("completion_token_ids", ids_json(all.token_ids));
    return choice(index, "message", std::move(message), all);
  }
  Json opening(int index, const PreparedPrompt& prompt) const override {
    Json delta;
    delta.set("role", "assistant").set("content", "");
    if (wants_ids()) delta.set("prompt_token_ids", ids_json(prompt.ids));
    return choice(index, "delta", std::move(delta), Piece());
  }
  Json chunk_choice(int index, const Piece& piece, const PreparedPrompt&, bool) const override {
    Json delta = Json::Object();
    if (!piece.text.empty()) delta.set("content", piece.text);
    if (wants_ids()) delta.set("completion_token_ids", ids_json(piece.token_ids));
    return choice(index, "delta", std::move(delta), piece);
  }

 private:
  std::string_view object(bool chunk) const override {
    return chunk ? "chat.completion.chunk" : "chat.completion";
  }
  Json choice(int index, const char* what, Json content, const Piece& piece) const {
    Json out;
    out.set("index", index).set(what, std::move(content));
    out.set("logprobs", piece.scores.empty() ? Json() : chat_logprobs(piece.scores, names_));
    add_prompt_logprobs(out, piece);
    out.set("finish_reason", finish_reason(piece));
    return out;
  }
};

}  // namespace

std::unique_ptr<Reply> make_chat_reply(ReplyHead head, const GenerationRequest& request,
                                       TokenNames names) {
  return std::make_unique<ChatReply>(std::move(head), request, names);
}

}  // namespace erne::server
