#include "grammar/structural_tag.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/json_text.h"

namespace erne::grammar {
namespace {

constexpr size_t kMaxStructures = 256;
constexpr size_t kMaxTextBytes = 1024;

Status wrong(const std::string& name, std::string_view allowed, const Json* found) {
  return invalid(fmt::format("{} must be {}, found {}", name, allowed,
                             found == nullptr ? std::string("nothing") : brief(*found)),
                 name);
}

Result<void> check_members(const Json& value, std::initializer_list<std::string_view> allowed,
                           const std::string& name) {
  if (!value.is_object()) return wrong(name, "an object", &value);
  for (const auto& [key, member] : value.as_object())
    if (std::ranges::find(allowed, key) == allowed.end())
      return invalid(fmt::format("{} may have {}, found \"{}\"", name, fmt::join(allowed, ", "),
                                 key.substr(0, 40)),
                     name);
  return {};
}

Result<std::string> text_of(const Json* value, const std::string& name) {
  if (value == nullptr || !value->is_string() || value->as_string().size() > kMaxTextBytes)
    return wrong(name, fmt::format("a string of at most {} bytes", kMaxTextBytes), value);
  return value->as_string();
}

Result<const Json::Array*> list_of(const Json& value, const char* member, const std::string& name) {
  const Json* list = value.find(member);
  if (list == nullptr || !list->is_array() || list->as_array().empty() ||
      list->as_array().size() > kMaxStructures)
    return wrong(fmt::format("{}.{}", name, member),
                 fmt::format("a list of 1 to {}", kMaxStructures), list);
  return &list->as_array();
}

// Texts and ids, as rust/src/grammar/structural_tag.rs reads them.
Json pieces_of(std::string_view text, const text::Tokenizer& tokenizer) {
  Json::Array pieces;
  std::string plain;
  while (!text.empty()) {
    const auto mark = tokenizer.added_token_at(text);
    if (!mark || !is_mark(tokenizer, mark->id)) {
      plain += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (!plain.empty()) pieces.emplace_back(std::exchange(plain, {}));
    pieces.emplace_back(static_cast<int64_t>(mark->id));
    text.remove_prefix(mark->length);
  }
  if (!plain.empty()) pieces.emplace_back(std::move(plain));
  return pieces;
}

}  // namespace

Result<StructuralTag> read_structural_tag(const Json& value, const std::string& name) {
  TRY(check_members(value, {"type", "structures", "triggers"}, name));
  StructuralTag tag;
  const Json::Array& structures = *TRY(list_of(value, "structures", name));
  for (size_t i = 0; i < structures.size(); ++i) {
    const std::string place = fmt::format("{}.structures[{}]", name, i);
    TRY(check_members(structures[i], {"begin", "schema", "end"}, place));
    StructuralTag::Structure structure{
        .begin = TRY(text_of(structures[i].find("begin"), place + ".begin")),
        .end = TRY(text_of(structures[i].find("end"), place + ".end"))};
    if (const Json* schema = structures[i].find("schema"); schema != nullptr && !schema->is_null())
      structure.schema = *schema;
    tag.structures.push_back(std::move(structure));
  }
  const Json::Array& triggers = *TRY(list_of(value, "triggers", name));
  for (size_t i = 0; i < triggers.size(); ++i)
    tag.triggers.push_back(TRY(text_of(&triggers[i], fmt::format("{}.triggers[{}]", name, i))));
  return tag;
}

Source source_of(const StructuralTag& tag, const text::Tokenizer& tokenizer) {
  Json::Array structures, triggers;
  for (const StructuralTag::Structure& structure : tag.structures)
    structures.push_back(Json::Object{{"begin", pieces_of(structure.begin, tokenizer)},
                                      {"schema", structure.schema},
                                      {"end", pieces_of(structure.end, tokenizer)}});
  for (const std::string& trigger : tag.triggers) triggers.push_back(pieces_of(trigger, tokenizer));
  const Json source = Json::Object{
      {"structures", std::move(structures)},  {"triggers", std::move(triggers)},
      {"free_text", tag.free_text},           {"separator", pieces_of(tag.separator, tokenizer)},
      {"at_least", tag.at_least_one ? 1 : 0}, {"at_most_one", tag.at_most_one}};
  return {Kind::kStructuralTag, source.dump()};
}

}  // namespace erne::grammar
