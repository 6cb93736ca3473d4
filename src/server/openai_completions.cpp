// /v1/completions: "text_completion", whole and in chunks alike.
#include "server/openai_reply.h"

namespace erne::server {
namespace {

class CompletionReply final : public OpenAiReply {
 public:
  using OpenAiReply::OpenAiReply;

 private:
  bool has_opening() const override { return false; }
  std::string_view object(bool) const override { return "text_completion"; }
  Json logprobs(const std::vector<ScoredToken>& scores) const override {
    return completion_logprobs(scores, names_);
  }
  void add_answer(Json& choice, Part, const Delta& delta, const PreparedPrompt&) const override {
    choice.set("text", delta.content);
  }
  void add_ids(Json& choice, Part part, const Delta& delta,
               const PreparedPrompt& prompt) const override {
    if (part != Part::kNext) choice.set("prompt_token_ids", ids_json(prompt.ids));
    choice.set("completion_token_ids", ids_json(delta.token_ids));
  }
};

}  // namespace

std::unique_ptr<Reply> make_completion_reply(ReplyHead head, const GenerationRequest& request,
                                             TokenNames names) {
  return std::make_unique<CompletionReply>(std::move(head), request, names, "cmpl-");
}

}  // namespace erne::server
