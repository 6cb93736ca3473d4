// Reading a JSON body by a table: one row per field with its name, the endpoints that have it and
// what reads it. A field that has no row is refused, as is one given twice; null counts as absent.
// Fields are read in the order of the rows, so that the order of a body's members decides nothing.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "server/generation_request.h"

namespace erne::server {

// A field's value on the way in. The readers below say in their Status the name, what was found and
// what is allowed.
struct Arg {
  std::string name;
  const Json& value;
  const RequestLimits& limits;

  Status wrong(std::string_view allowed) const;
  Arg item(size_t i) const;  // of an array: name[i]
};

// A member of an object; null where it has none, or is no object.
Arg member(const Arg& arg, std::string_view name);

Result<bool> boolean(const Arg& arg);
Result<int64_t> integer(const Arg& arg, int64_t min, int64_t max);
// A whole number from 0; what is larger than `most` counts as `most`.
Result<int> count_up_to(const Arg& arg, int most);
Result<double> number(const Arg& arg, double min, double max);
Result<std::string> string(const Arg& arg, size_t max_bytes);
Result<TokenId> token_id(const Arg& arg);
Result<std::vector<TokenId>> token_ids(const Arg& arg);
// kTooLong for a longer list, before it is built.
Result<std::vector<TokenId>> token_ids_at_most(const Arg& arg, size_t max_ids);
// A list, or a single string as a list of one. No string may be empty.
Result<std::vector<std::string>> strings(const Arg& arg, size_t max_items, size_t max_bytes);
Result<void> list_of_at_most(const Arg& arg, size_t max_items, std::string_view of_what);

inline constexpr unsigned kChatOnly = static_cast<unsigned>(Endpoint::kChat);
inline constexpr unsigned kCompletionsOnly = static_cast<unsigned>(Endpoint::kCompletions);
inline constexpr unsigned kBoth = kChatOnly | kCompletionsOnly;

struct Field {
  std::string_view name;
  unsigned endpoints;
  Result<void> (*read)(const Arg&, GenerationRequest&);
};

std::span<const Field> sampling_fields();           // how to draw, when to stop
std::span<const Field> prompt_fields();             // what to continue
std::span<const Field> thinking_fields();           // whether to think first
std::span<const Field> tool_fields();               // what the model may call
std::span<const Field> structured_output_fields();  // what the answer must look like
std::span<const Field> output_fields();             // what to send back
std::span<const Field>
bystander_fields();  // without effect here, or not built yet: each says which

// Each field of the body by its row.
Result<void> read_fields(const Json& body, Endpoint endpoint, const RequestLimits& limits,
                         GenerationRequest& request);

}  // namespace erne::server
