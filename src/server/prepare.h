// From a checked request to what the engine computes: prompts in tokens, limits in tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "sched/request.h"
#include "server/generation_request.h"
#include "server/request_work.h"
#include "server/server_context.h"

namespace erne::server {

struct PreparedPrompt {
  std::vector<TokenId> ids;
  std::string text;                   // what echo shows
  std::vector<int64_t> text_offsets;  // of `ids` in it, where echo shows scores; see text_offsets.h
};

struct PreparedRequest {
  std::vector<PreparedPrompt> prompts;
  // Choice prompt * n + k. Without ids: whoever submits draws them.
  std::vector<sched::Request> choices;
};

// A chat's messages in tokens, through the checkpoint's template.
Result<PreparedPrompt> render_chat(const ServerContext& context, const GenerationRequest& chat,
                                   RequestWork& work);

// The field `prompt` in tokens. kTooLong: more than `max_tokens`. kCancelled: the client has left
// meanwhile.
Result<std::vector<TokenId>> encode(const ServerContext& context, std::string_view text,
                                    size_t max_tokens, RequestWork& work);

// kTooLong where a prompt leaves no room in the context. What it makes is claimed from `work`.
Result<PreparedRequest> prepare(const ServerContext& context, uint64_t seed,
                                const GenerationRequest& request, RequestWork& work);

}  // namespace erne::server
