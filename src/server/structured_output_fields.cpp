// The fields that say what an answer must look like: OpenAI's response_format, FastDeploy's
// guided_* and structural_tag, vLLM's structured_outputs. A request has at most one of them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "server/fields.h"

namespace erne::server {
namespace {

using grammar::Kind;

constexpr size_t kMaxGrammarBytes = size_t{256} << 10;  // rust/src/grammar.rs refuses more
constexpr size_t kMaxChoiceTexts = 4096;
constexpr size_t kMaxNameBytes = 64;  // OpenAI's, of a schema

Result<void> set(const Arg& arg, AnswerFormat::What what, GenerationRequest& r) {
  if (r.answer_format)
    return invalid(fmt::format("{} and {} both say what the answer must look like: send one",
                               r.answer_format->field, arg.name),
                   arg.name);
  r.answer_format = {arg.name, std::move(what)};
  return {};
}

Result<void> set_schema(const Arg& arg, const Json& schema, GenerationRequest& r) {
  return set(arg, grammar::Source{Kind::kJsonSchema, schema.dump()}, r);
}

Result<void> set_object(const Arg& arg, GenerationRequest& r) {
  return set_schema(arg, Json::Object{{"type", "object"}}, r);
}

// A schema, or its text.
Result<void> read_json(const Arg& arg, GenerationRequest& r) {
  if (arg.value.is_object()) return set_schema(arg, arg.value, r);
  const std::string text = TRY(string(arg, kMaxGrammarBytes));
  const Result<Json> schema = Json::parse(text);
  if (!schema.ok())
    return invalid(fmt::format("{} is no JSON: {}", arg.name, schema.status().message), arg.name);
  return set_schema(arg, *schema, r);
}

Result<void> read_regex(const Arg& arg, GenerationRequest& r) {
  std::string regex = TRY(string(arg, kMaxGrammarBytes));
  if (regex.empty()) return {};
  return set(arg, grammar::Source{Kind::kRegex, std::move(regex)}, r);
}

Result<void> read_choice(const Arg& arg, GenerationRequest& r) {
  if (!arg.value.is_array()) return arg.wrong("a list of strings");
  const std::vector<std::string> texts = TRY(strings(arg, kMaxChoiceTexts, kMaxGrammarBytes));
  if (texts.empty()) return {};
  return set(arg, grammar::Source{Kind::kChoice, arg.value.dump()}, r);
}

Result<void> read_grammar(const Arg& arg, GenerationRequest& r) {
  std::string grammar = TRY(string(arg, kMaxGrammarBytes));
  if (grammar.empty()) return {};
  return set(arg, grammar::Source{Kind::kEbnf, std::move(grammar)}, r);
}

// An object, or its text.
Result<void> read_structural_tag(const Arg& arg, GenerationRequest& r) {
  if (arg.value.is_object())
    return set(arg, TRY(grammar::read_structural_tag(arg.value, arg.name)), r);
  const std::string text = TRY(string(arg, kMaxGrammarBytes));
  const Result<Json> tag = Json::parse(text);
  if (!tag.ok())
    return invalid(fmt::format("{} is no JSON: {}", arg.name, tag.status().message), arg.name);
  return set(arg, TRY(grammar::read_structural_tag(*tag, arg.name)), r);
}

Result<void> read_json_object(const Arg& arg, GenerationRequest& r) {
  return TRY(boolean(arg)) ? set_object(arg, r) : Result<void>();
}

Result<void> only_absent(const Arg& arg, GenerationRequest&) {
  if (arg.value == Json(false)) return {};
  return unsupported(fmt::format("{} is not built yet", arg.name), arg.name);
}

struct Member {
  std::string_view name;
  Result<void> (*read)(const Arg&, GenerationRequest&);
};

Result<void> read_members(const Arg& arg, std::span<const Member> members, GenerationRequest& r) {
  if (!arg.value.is_object()) return arg.wrong("an object");
  for (const auto& [key, value] : arg.value.as_object()) {
    const auto member = std::ranges::find(members, key, &Member::name);
    if (member == members.end()) {
      std::vector<std::string_view> names;
      for (const Member& one : members) names.push_back(one.name);
      return invalid(fmt::format("{} may have {}, found \"{}\"", arg.name, fmt::join(names, ", "),
                                 key.substr(0, 40)),
                     arg.name);
    }
    if (!value.is_null())
      TRY(member->read(Arg{fmt::format("{}.{}", arg.name, key), value, arg.limits}, r));
  }
  return {};
}

constexpr Member kStructuredOutputs[] = {
    {"json", read_json},
    {"regex", read_regex},
    {"choice", read_choice},
    {"grammar", read_grammar},
    {"json_object", read_json_object},
    {"structural_tag", read_structural_tag},
    {"disable_fallback", only_absent},  // there is one back end
    {"disable_any_whitespace", only_absent},
    {"disable_additional_properties", only_absent},
    {"whitespace_pattern", only_absent},
};

Result<void> read_structured_outputs(const Arg& arg, GenerationRequest& r) {
  return read_members(arg, kStructuredOutputs, r);
}

Result<void> read_schema_name(const Arg& arg, GenerationRequest&) {
  const std::string name = TRY(string(arg, kMaxNameBytes));
  const bool plain = std::ranges::all_of(
      name, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; });
  if (!plain || name.empty()) return arg.wrong("a string of letters, digits, '-' and '_'");
  return {};
}

Result<void> read_label(const Arg& arg, GenerationRequest&) {
  TRY(string(arg, kMaxGrammarBytes));
  return {};
}

// A schema is enforced either way.
Result<void> read_strict(const Arg& arg, GenerationRequest&) {
  TRY(boolean(arg));
  return {};
}

Result<void> read_schema(const Arg& arg, GenerationRequest& r) {
  if (!arg.value.is_object()) return arg.wrong("an object, a JSON schema");
  return set_schema(arg, arg.value, r);
}

constexpr Member kJsonSchema[] = {
    {"name", read_schema_name},
    {"description", read_label},
    {"schema", read_schema},
    {"strict", read_strict},
};

Result<void> read_json_schema(const Arg& arg, GenerationRequest& r) {
  TRY(read_members(arg, kJsonSchema, r));
  const Json* schema = arg.value.find("schema");
  return schema == nullptr || schema->is_null() ? set_object(arg, r) : Result<void>();
}

Result<void> read_type(const Arg&, GenerationRequest&) {
  return {};
}

// What each type's object has beside the type, and what it stands for.
struct FormatType {
  std::string_view name;
  std::span<const Member> members;
  Result<void> (*set)(const Arg&, GenerationRequest&);
};

constexpr Member kTypeAlone[] = {{"type", read_type}};
constexpr Member kSchemaMembers[] = {{"type", read_type}, {"json_schema", read_json_schema}};
constexpr FormatType kFormatTypes[] = {
    {"text", kTypeAlone, read_type},
    {"json_object", kTypeAlone, set_object},
    {"json_schema", kSchemaMembers, read_type},
    {"structural_tag", {}, read_structural_tag},
};

Result<void> read_response_format(const Arg& arg, GenerationRequest& r) {
  const Json* type = arg.value.find("type");
  if (type == nullptr || !type->is_string()) return arg.wrong("an object with a \"type\"");
  const auto format = std::ranges::find(kFormatTypes, type->as_string(), &FormatType::name);
  if (format == std::end(kFormatTypes))
    return Arg{arg.name + ".type", *type, arg.limits}.wrong(
        "one of text, json_object, json_schema, structural_tag");
  if (!format->members.empty()) TRY(read_members(arg, format->members, r));
  if (format->name == "json_schema") {
    const Json* schema = arg.value.find("json_schema");
    if (schema == nullptr || schema->is_null())
      return invalid(
          fmt::format("{0}.json_schema is missing: an object with name and schema", arg.name),
          arg.name + ".json_schema");
  }
  return format->set(arg, r);
}

constexpr Field kStructuredOutputFields[] = {
    {"response_format", kBoth, read_response_format},
    {"guided_json", kBoth, read_json},
    {"guided_regex", kBoth, read_regex},
    {"guided_choice", kBoth, read_choice},
    {"guided_grammar", kBoth, read_grammar},
    {"structural_tag", kBoth, read_structural_tag},
    {"structured_outputs", kBoth, read_structured_outputs},
};

}  // namespace

std::span<const Field> structured_output_fields() {
  return kStructuredOutputFields;
}

}  // namespace erne::server
