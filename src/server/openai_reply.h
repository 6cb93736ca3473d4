// What /v1/chat/completions and /v1/completions have in common: choices, chunks of one choice each,
// an end that is "[DONE]".
#pragma once

#include <string>
#include <unordered_map>

#include "server/reply.h"

namespace erne::server {

// What is said of one choice.
enum class Part {
  kWhole,    // all of it, in a reply in one piece
  kOpening,  // before anything has come, where the endpoint has such a chunk
  kFirst,    // what came first, and what came after that, in chunks
  kNext,
};

class OpenAiReply : public Reply {
 public:
  // `id_prefix` comes before ids that do not have it.
  OpenAiReply(ReplyHead head, const GenerationRequest& request, TokenNames names,
              std::string_view id_prefix);

  std::string gained(int index, const Delta& delta, const PreparedPrompt& prompt,
                     const Usage& so_far) final;
  std::string ended(const Usage& usage) final;
  std::string failed(const Status& status) final;
  void add_whole(int index, const Delta& whole, const PreparedPrompt& prompt,
                 std::string& choices) final;
  std::string whole(std::string choices, const Usage& usage) final;

 protected:
  bool wants_ids() const { return request_.return_token_ids; }

  virtual std::string_view object(bool chunk) const = 0;
  // Whether a choice in chunks begins with an opening.
  virtual bool has_opening() const = 0;
  // Sets the members with text and ids.
  virtual void add_answer(Json& choice, Part part, const Delta& delta,
                          const PreparedPrompt& prompt) const = 0;
  virtual Json logprobs(const std::vector<ScoredToken>& scores) const = 0;
  // Behind the log-probabilities.
  virtual void add_ids(Json& choice, Part part, const Delta& delta,
                       const PreparedPrompt& prompt) const = 0;

  ReplyHead head_;
  const GenerationRequest& request_;
  const TokenNames names_;

 private:
  Json choice(int index, Part part, const Delta& delta, const PreparedPrompt& prompt);
  std::string chunk(Json::Array choices, const Usage* usage) const;
  Json written_prompt_scores(const Delta& delta, const PreparedPrompt& prompt);

  std::unordered_map<int, int> num_chunks_;  // by choice
  std::unordered_map<const PreparedPrompt*, Json> prompt_scores_;
};

}  // namespace erne::server
