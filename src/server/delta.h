// What one of a request's choices gained: text, by what it is for, tokens and their scores. All of
// a choice is the sum of its deltas, and is one itself: what is sent in pieces and what is sent
// whole are the same thing.
//
// A new kind of output is a member here and a line in each_member(); then it is summed up, counts
// as something to send, and waits for its place in the replies (openai_*.cpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sched/request.h"

namespace erne::server {

using sched::TokenId;

// A token of the reply with its score.
struct ScoredToken {
  TokenId id = 0;
  std::optional<float> logprob;          // none for a prompt's first token, which nothing predicts
  std::vector<sched::TokenLogprob> top;  // best first
  int64_t text_offset = 0;               // in characters, where the token's text begins
};

// What a call of a tool gained; deltas of one index are one call.
struct ToolCallDelta {
  int index = 0;
  std::string id, name, arguments;
};

enum class Finish { kStop, kLength, kToolCalls };
std::string_view finish_word(Finish finish);  // as OpenAI's finish_reason

struct Delta {
  std::string reasoning;
  std::string content;
  std::vector<ToolCallDelta> tool_calls;
  std::vector<TokenId> token_ids;          // generated; if the request wants them
  std::vector<ScoredToken> scores;         // if logprobs were asked for; the echoed prompt's first
  std::vector<ScoredToken> prompt_scores;  // if prompt_logprobs were: the whole prompt, once
  std::string stop;                        // the stop string that ended the content, if one did
  std::optional<Finish> finish;            // the last delta has it

  // Calls visit(member, ...) with each member of all the deltas.
  template <class Visit, class... Deltas>
  static void each_member(const Visit& visit, Deltas&... deltas) {
    visit(deltas.reasoning...);
    visit(deltas.content...);
    visit(deltas.tool_calls...);
    visit(deltas.token_ids...);
    visit(deltas.scores...);
    visit(deltas.prompt_scores...);
    visit(deltas.stop...);
    visit(deltas.finish...);
  }

  bool empty() const;
  void append(Delta&& gained);
};

}  // namespace erne::server
