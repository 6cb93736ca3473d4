// The JSON of a reply, whole or in chunks, in the shape of its endpoint.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "server/delta.h"
#include "server/generation_request.h"
#include "server/logprobs_json.h"
#include "server/prepare.h"

namespace erne::server {

struct Usage {
  int64_t prompt_tokens = 0;      // of each prompt once, however many choices it has
  int64_t completion_tokens = 0;  // of all choices, the token that ended each included
  int64_t reasoning_tokens = 0;   // of completion_tokens, in thoughts
  int64_t cached_tokens = 0;      // of prompt_tokens
};
Json usage_json(const Usage& usage);
Json ids_json(const std::vector<TokenId>& ids);

// What all chunks of a reply have in common.
struct ReplyHead {
  std::string id;
  int64_t created_s = 0;  // Unix time
  std::string model;
};

// What a chunk says of one choice.
enum class Part {
  kWhole,    // all of it, in a reply in one piece
  kOpening,  // before anything has come, where the endpoint has such a chunk
  kFirst,    // what came first, and what came after that, in chunks
  kNext,
};

class Reply {
 public:
  // `request` outlives this.
  Reply(ReplyHead head, const GenerationRequest& request, TokenNames names)
      : head_(std::move(head)), request_(request), names_(names) {}
  virtual ~Reply() = default;

  // {"id", "object", ..., "choices": [...], "usage"}, as JSON text. `choices`: their list as text.
  std::string whole(std::string choices, const Usage& usage) const;
  // A chunk with one choice or none. `usage`: null where this chunk has none.
  std::string chunk(Json::Array choices, const Usage* usage) const;

  // {"index", what the endpoint calls the answer, "logprobs", "prompt_logprobs", "finish_reason"}.
  Json choice(int index, Part part, const Delta& delta, const PreparedPrompt& prompt) const;

  // Whether a choice in chunks begins with an opening.
  virtual bool has_opening() const = 0;

 protected:
  bool wants_ids() const { return request_.return_token_ids; }

  virtual std::string_view object(bool chunk) const = 0;
  // Sets the members with text and ids.
  virtual void add_answer(Json& choice, Part part, const Delta& delta,
                          const PreparedPrompt& prompt) const = 0;
  virtual Json logprobs(const std::vector<ScoredToken>& scores) const = 0;
  // Behind the log-probabilities.
  virtual void add_ids(Json& choice, Part part, const Delta& delta,
                       const PreparedPrompt& prompt) const = 0;

  Json written_prompt_scores(const Delta& delta, const PreparedPrompt& prompt) const;

  const ReplyHead head_;
  const GenerationRequest& request_;
  const TokenNames names_;

 private:
  mutable std::unordered_map<const PreparedPrompt*, Json> prompt_scores_;
};

std::unique_ptr<Reply> make_chat_reply(ReplyHead head, const GenerationRequest& request,
                                       TokenNames names);
std::unique_ptr<Reply> make_completion_reply(ReplyHead head, const GenerationRequest& request,
                                             TokenNames names);

}  // namespace erne::server
