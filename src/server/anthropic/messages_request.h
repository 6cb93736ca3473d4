// A body of Anthropic's /v1/messages, as the chat it asks for: translated field by field into a
// body of /v1/chat/completions, whose rules then hold.
#pragma once

#include "base/json.h"
#include "base/status.h"
#include "server/generation_request.h"

namespace erne::server::anthropic {

// `counts_only`: a body of /v1/messages/count_tokens, which has no max_tokens. kInvalid and
// kUnsupported name the field as it was sent.
Result<Json> chat_of_messages(const Json& body, bool counts_only, const RequestLimits& limits);

}  // namespace erne::server::anthropic
