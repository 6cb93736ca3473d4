// /v1/completions: "text_completion", whole and in chunks alike.
#include "server/reply.h"

namespace erne::server {
namespace {

class CompletionReply final : public Reply {
 public:
  using Reply::Reply;

  Json whole_choice(int index, const Piece& all, const PreparedPrompt& prompt) const override {
    return chunk_choice(index, all, prompt, /*first=*/true);
  }
  Json opening(int, const PreparedPrompt&) const override { return Json(); }
  Json chunk_choice(int index, const Piece& piece, const PreparedPrompt& prompt,
                    bool first) const override {
    Json out;
    out.set("index", index).set("text", piece.text);
    out.set("logprobs", piece.scores.empty() ? Json() : completion_logprobs(piece.scores, names_));
    add_prompt_logprobs(out, piece);
    if (wants_ids()) {
      if (first) out.set("prompt_token_ids", ids_json(prompt.ids));
      out.set("completion_token_ids", ids_json(piece.token_ids));
    }
    out.set("finish_reason", finish_reason(piece));
    return out;
  }

 private:
  std::string_view object(bool) const override { return "text_completion"; }
};

}  // namespace

std::unique_ptr<Reply> make_completion_reply(ReplyHead head, const GenerationRequest& request,
                                             TokenNames names) {
  return std::make_unique<CompletionReply>(std::move(head), request, names);
}

}  // namespace erne::server
