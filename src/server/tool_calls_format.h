// What an answer must look like that calls tools: calls as the model's template writes those of
// earlier turns, of the tools that a request has, with arguments by their schemas.
#pragma once

#include <optional>

#include "server/generation_request.h"

namespace erne::server {

// Where a call is owed (tool_choice "required" or a tool's name) there is nothing but calls. Where
// it is the model's choice and a tool is strict, text is free until a call begins. Otherwise
// nothing is bound.
std::optional<AnswerFormat> tool_calls_format(const GenerationRequest& request);

}  // namespace erne::server
