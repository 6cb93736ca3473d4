// Bodies of other APIs become bodies of /v1/chat/completions, whose rules then hold. An API is a
// table of its fields, each with what it does to the chat; a field without a row is refused. Errors
// name fields as they were sent.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "server/fields.h"

namespace erne::server {

struct TranslationRow {
  std::string_view name;
  Result<void> (*translate)(const Arg& arg, Json& chat);
};

// Row by row, so that the order of the body's members decides nothing; null counts as absent.
Result<Json> translate(const Json& body, std::span<const TranslationRow> rows,
                       std::initializer_list<std::string_view> required,
                       const RequestLimits& limits);

// The field goes into the chat as it is, under its own name; nowhere, once it is what it may be.
Result<void> copy_field(const Arg& arg, Json& chat);
Result<void> copy_max_tokens(const Arg& arg, Json& chat);
Result<void> ignore_object(const Arg& arg, Json& chat);
Result<void> ignore_text(const Arg& arg, Json& chat);

Result<std::string> text_member(const Arg& arg, std::string_view name);
// The member "type" of a block, an item or a tool.
Result<std::string> type_of(const Arg& arg);
Status unknown_type(const Arg& arg, std::string_view type, std::string_view allowed);
// A text, or a list of blocks that each have one of these types and a "text": all of it.
Result<std::string> joined_text(const Arg& arg, std::initializer_list<std::string_view> types);

}  // namespace erne::server
