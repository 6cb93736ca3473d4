// Free text with structures in it: where a trigger has been written, a structure that begins with
// it must follow; then the text is free again. Calls of tools are such structures.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "grammar/grammar.h"
#include "text/tokenizer.h"

namespace erne::grammar {

struct StructuralTag {
  // Where `begin` and `end` have the text of a mark, such as <tool_call>, they mean its token.
  struct Structure {
    std::string begin;
    Json schema = Json::Object();  // any JSON
    std::string end;
  };
  std::vector<Structure> structures;
  std::vector<std::string> triggers;  // each structure begins with exactly one
  bool at_least_one = false;
  bool at_most_one = false;
  // Without free text there are structures alone, with `separator` between them, and no triggers.
  bool free_text = true;
  std::string separator;
};

// {"structures": [{"begin", "schema", "end"}...], "triggers": [...]}, as clients send it; `name` is
// what messages call it.
Result<StructuralTag> read_structural_tag(const Json& value, const std::string& name);

Source source_of(const StructuralTag& tag, const text::Tokenizer& tokenizer);

}  // namespace erne::grammar
