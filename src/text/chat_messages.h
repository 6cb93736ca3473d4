// What shape a chat's messages have, whoever brings them: a list of objects, each with a role,
// which is a string, and a content. That is a string, null or absent, or a list of parts: objects
// with a type, and with a string "text" where the type is "text". Earlier tool_calls are a
// list of {"function": {"name", "arguments"}}, the arguments a string or an object. Which roles and
// types there are, and who may leave the content out, is for whoever takes messages in to say.
#pragma once

#include "base/json.h"
#include "base/status.h"

namespace erne::text {

// kInvalid, naming the message and what is allowed: "messages[2].content[0] must be ...".
Result<void> check_messages(const Json& messages);

}  // namespace erne::text
