// What goes back to the client, whole or as a stream of events, in the shape of its endpoint. Knows
// no sockets and no engine; driven by one Generation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
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

// What all of a reply has in common.
struct ReplyHead {
  std::string id;         // without the endpoint's prefix
  int64_t created_s = 0;  // Unix time
  std::string model;
};

class Reply {
 public:
  virtual ~Reply() = default;

  // As a stream of server-sent events, each call's as they go over the wire. gained(): what choice
  // `index` gained; `so_far` counts up to here. A stream ends in ended() or in failed().
  virtual std::string gained(int index, const Delta& delta, const PreparedPrompt& prompt,
                             const Usage& so_far) = 0;
  virtual std::string ended(const Usage& usage) = 0;
  virtual std::string failed(const Status& status) = 0;

  // In one piece: what there is to say of each choice, in order, appended to `choices`; then the
  // body around that.
  virtual void add_whole(int index, const Delta& whole, const PreparedPrompt& prompt,
                         std::string& choices) = 0;
  virtual std::string whole(std::string choices, const Usage& usage) = 0;
};

// An event of a stream; `name`: of the event, where the endpoint's clients tell them apart by it.
std::string event_text(std::string_view data, std::string_view name = {});

Json ids_json(const std::vector<TokenId>& ids);

// `request` outlives the reply.
using MakeReply = std::function<std::unique_ptr<Reply>(
    ReplyHead head, const GenerationRequest& request, TokenNames names)>;
std::unique_ptr<Reply> make_chat_reply(ReplyHead head, const GenerationRequest& request,
                                       TokenNames names);
std::unique_ptr<Reply> make_completion_reply(ReplyHead head, const GenerationRequest& request,
                                             TokenNames names);
namespace anthropic {
std::unique_ptr<Reply> make_messages_reply(ReplyHead head, const GenerationRequest& request,
                                           TokenNames names);
}  // namespace anthropic

}  // namespace erne::server
