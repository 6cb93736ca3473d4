// A body of OpenAI's /v1/responses, as the chat it asks for (translation.h), and what of it the
// reply repeats.
#pragma once

#include <string>

#include "base/json.h"
#include "base/status.h"
#include "server/generation_request.h"

namespace erne::server::responses {

struct ResponsesRequest {
  Json chat;                // a body of /v1/chat/completions, without what came before
  Json::Array input;        // the items of this turn
  std::string previous_id;  // of the response that this one follows; empty: none
  bool store = true;
  Json repeated;  // members of the reply that are as the request has them
};

Result<ResponsesRequest> read_responses_request(const Json& body, const RequestLimits& limits);

// The messages of a conversation's items, all that came before included: `instructions` first,
// where there are any. kInvalid and kUnsupported name the item.
Result<Json> messages_of_items(const Json::Array& items, const std::string& instructions,
                               const RequestLimits& limits);

}  // namespace erne::server::responses
