#include "server/tool_calls_format.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/parsers/tag_style.h"

namespace erne::server {
namespace {

const Json& function_in(const Json& tool) {
  return *tool.find("function");
}

const std::string& name_of(const Json& tool) {
  return function_in(tool).find("name")->as_string();
}

bool is_strict(const Json& tool) {
  const Json* strict = function_in(tool).find("strict");
  return strict != nullptr && *strict == Json(true);
}

// Arguments are an object, whether the schema says so or not.
Json arguments_schema(const Json& tool) {
  const Json* parameters = function_in(tool).find("parameters");
  Json schema = parameters == nullptr || parameters->is_null() ? Json(Json::Object()) : *parameters;
  if (schema.find("type") == nullptr) schema.set("type", "object");
  return schema;
}

grammar::StructuralTag::Structure structure_of(const Json& tool) {
  return {.begin = fmt::format("{}\n{{\"name\": \"{}\", \"arguments\": ", kCall, name_of(tool)),
          .schema = arguments_schema(tool),
          .end = fmt::format("}}\n{}", kCallEnd)};
}

}  // namespace

std::optional<AnswerFormat> tool_calls_format(const GenerationRequest& r) {
  if (!r.tools.is_array() || r.tool_choice == ToolChoice::kNone) return std::nullopt;
  const Json::Array& tools = r.tools.as_array();
  const bool is_owed = r.tool_choice != ToolChoice::kAuto;
  if (!is_owed && std::none_of(tools.begin(), tools.end(), is_strict)) return std::nullopt;
  grammar::StructuralTag calls;
  for (const Json& tool : tools)
    if (r.tool_choice != ToolChoice::kNamed || name_of(tool) == r.named_tool)
      calls.structures.push_back(structure_of(tool));
  calls.free_text = !is_owed;
  calls.at_least_one = is_owed;
  calls.at_most_one = r.tool_choice == ToolChoice::kNamed || !r.parallel_tool_calls;
  if (is_owed)
    calls.separator = "\n";
  else
    calls.triggers = {std::string(kCall)};
  return AnswerFormat{"tools", std::move(calls)};
}

}  // namespace erne::server
