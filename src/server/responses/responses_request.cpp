#include "server/responses/responses_request.h"

#include <fmt/format.h>

#include "server/translation.h"

namespace erne::server::responses {
namespace {

constexpr size_t kMaxItems = 4096, kMaxTools = 512;
constexpr size_t kMaxIdBytes = 128;
// Members of the chat that are for this file alone: what becomes of them is decided at the end.
constexpr std::string_view kInput = "input", kInstructions = "instructions",
                           kPrevious = "previous_response_id", kStore = "store";

// {"type": "function", "name", ...}: the function is not an object of its own here.
Result<Json> function_of(const Arg& arg) {
  const std::string type = TRY(type_of(arg));
  if (type != "function") return unknown_type(arg, type, "tools of type \"function\"");
  Json function = Json::Object();
  for (const auto& [name, value] : arg.value.as_object())
    if (name != "type" && !value.is_null()) function.set(name, value);
  return Json().set("type", "function").set("function", std::move(function));
}

Result<void> read_tools(const Arg& arg, Json& chat) {
  TRY(list_of_at_most(arg, kMaxTools, "tools"));
  Json::Array tools;
  for (size_t i = 0; i < arg.value.as_array().size(); ++i)
    tools.push_back(TRY(function_of(arg.item(i))));
  chat.set("tools", std::move(tools));
  return {};
}

Result<void> read_tool_choice(const Arg& arg, Json& chat) {
  chat.set("tool_choice", arg.value.is_object() ? TRY(function_of(arg)) : arg.value);
  return {};
}

// {"format": {"type": ..., "name", "schema", "strict"}, "verbosity"}
Result<void> read_text(const Arg& arg, Json& chat) {
  if (!arg.value.is_object()) return arg.wrong("an object");
  if (const Arg verbosity = member(arg, "verbosity"); !verbosity.value.is_null())
    chat.set("verbosity", verbosity.value);
  const Arg format = member(arg, "format");
  if (format.value.is_null()) return {};
  const std::string type = TRY(type_of(format));
  if (type != "json_schema") {
    chat.set("response_format", format.value);
    return {};
  }
  Json schema = Json::Object();
  for (const auto& [name, value] : format.value.as_object())
    if (name != "type") schema.set(name, value);
  chat.set("response_format", Json().set("type", type).set("json_schema", std::move(schema)));
  return {};
}

// {"effort", "summary"}; what a thought says is sent as it is, not in summary.
Result<void> read_reasoning(const Arg& arg, Json& chat) {
  if (!arg.value.is_object()) return arg.wrong("an object");
  if (const Arg effort = member(arg, "effort"); !effort.value.is_null())
    chat.set("reasoning_effort", effort.value);
  return {};
}

Result<void> keep_items(const Arg& arg, Json& chat) {
  if (arg.value.is_string()) {
    chat.set(
        std::string(kInput),
        Json::Array{Json().set("type", "message").set("role", "user").set("content", arg.value)});
    return {};
  }
  TRY(list_of_at_most(arg, kMaxItems, "items, or a string"));
  return copy_field(arg, chat);
}

Result<void> keep_text(const Arg& arg, Json& chat) {
  if (!arg.value.is_string()) return arg.wrong("a string");
  return copy_field(arg, chat);
}

Result<void> keep_id(const Arg& arg, Json& chat) {
  TRY(string(arg, kMaxIdBytes));
  return copy_field(arg, chat);
}

Result<void> keep_boolean(const Arg& arg, Json& chat) {
  TRY(boolean(arg));
  return copy_field(arg, chat);
}

// What the reply may hold more of.
Result<void> read_include(const Arg& arg, Json& chat) {
  TRY(list_of_at_most(arg, 16, "names"));
  for (const Json& name : arg.value.as_array()) {
    if (name == Json("reasoning.encrypted_content")) continue;  // thoughts are sent in the open
    if (!(name == Json("message.output_text.logprobs")))
      return arg.wrong("a list of message.output_text.logprobs and reasoning.encrypted_content");
    chat.set("logprobs", true);
  }
  return {};
}

Result<void> only_false(const Arg& arg, Json&) {
  if (!TRY(boolean(arg))) return {};
  return unsupported(fmt::format("{} is not built yet", arg.name), arg.name);
}

Result<void> only_disabled(const Arg& arg, Json&) {
  if (arg.value == Json("disabled")) return {};
  return unsupported(fmt::format("{} other than \"disabled\" is not built yet", arg.name),
                     arg.name);
}

constexpr TranslationRow kRows[] = {
    {kInput, keep_items},
    {kInstructions, keep_text},
    {kPrevious, keep_id},
    {kStore, keep_boolean},
    {"model", copy_field},
    {"max_output_tokens", copy_max_tokens},
    {"temperature", copy_field},
    {"top_p", copy_field},
    {"top_logprobs", copy_field},
    {"include", read_include},
    {"stream", copy_field},
    {"stream_options", copy_field},
    {"tools", read_tools},
    {"tool_choice", read_tool_choice},
    {"parallel_tool_calls", copy_field},
    {"text", read_text},
    {"reasoning", read_reasoning},
    {"background", only_false},
    {"truncation", only_disabled},
    {"metadata", ignore_object},
    {"user", ignore_text},
    {"safety_identifier", ignore_text},
    {"prompt_cache_key", ignore_text},
    {"service_tier", copy_field},
};

// Null counts as absent.
Json taken(Json& chat, std::string_view name) {
  Json::Object& members = chat.as_object();
  for (auto at = members.begin(); at != members.end(); ++at)
    if (at->first == name) {
      Json value = std::move(at->second);
      members.erase(at);
      return value;
    }
  return {};
}

Json as_sent(const Json& body, std::string_view name, Json absent) {
  const Json* value = body.find(name);
  return value == nullptr || value->is_null() ? std::move(absent) : *value;
}

// An assistant's turn is one message in a chat and several items here: thoughts, texts, calls.
class Messages {
 public:
  explicit Messages(const std::string& instructions) {
    if (!instructions.empty())
      all_.push_back(Json().set("role", "system").set("content", instructions));
  }

  Result<void> add(const Arg& item) {
    const Json& type = member(item, "type").value;
    if (type.is_null() || type == Json("message")) return add_message(item);
    const std::string name = TRY(type_of(item));
    if (name == "reasoning") return add_thought(item);
    if (name == "function_call") return add_call(item);
    if (name == "function_call_output") return add_result(item);
    return unknown_type(item, name, "message, reasoning, function_call and function_call_output");
  }

  Json take() { return std::move(all_); }

 private:
  Json& assistant() {
    const bool goes_on = !all_.empty() && *all_.back().find("role") == Json("assistant");
    if (!goes_on) all_.push_back(Json().set("role", "assistant").set("content", ""));
    return all_.back();
  }

  static void append(Json& message, const char* name, const std::string& text) {
    const Json* before = message.find(name);
    message.set(name, (before == nullptr ? std::string() : before->as_string()) + text);
  }

  Result<void> add_message(const Arg& item) {
    const std::string role = TRY(text_member(item, "role"));
    const std::string text =
        TRY(joined_text(member(item, "content"), {"input_text", "output_text", "text"}));
    if (role == "assistant")
      append(assistant(), "content", text);
    else
      all_.push_back(Json().set("role", role).set("content", text));
    return {};
  }

  Result<void> add_thought(const Arg& item) {
    std::string text = TRY(joined_text(member(item, "content"), {"reasoning_text"}));
    text += TRY(joined_text(member(item, "summary"), {"summary_text"}));
    append(assistant(), "reasoning_content", text);
    return {};
  }

  Result<void> add_call(const Arg& item) {
    Json call = Json().set("id", TRY(text_member(item, "call_id"))).set("type", "function");
    call.set("function", Json()
                             .set("name", TRY(text_member(item, "name")))
                             .set("arguments", TRY(text_member(item, "arguments"))));
    Json& message = assistant();
    if (message.find("tool_calls") == nullptr) message.set("tool_calls", Json::Array());
    message.find("tool_calls")->as_array().push_back(std::move(call));
    return {};
  }

  Result<void> add_result(const Arg& item) {
    all_.push_back(Json()
                       .set("role", "tool")
                       .set("tool_call_id", TRY(text_member(item, "call_id")))
                       .set("content", TRY(joined_text(member(item, "output"),
                                                       {"input_text", "output_text", "text"}))));
    return {};
  }

  Json::Array all_;
};

}  // namespace

Result<ResponsesRequest> read_responses_request(const Json& body, const RequestLimits& limits) {
  ResponsesRequest request;
  request.chat = TRY(translate(body, kRows, {kInput}, limits));
  request.input = std::move(taken(request.chat, kInput).as_array());
  const Json previous = taken(request.chat, kPrevious), store = taken(request.chat, kStore);
  taken(request.chat, kInstructions);
  if (previous.is_string()) request.previous_id = previous.as_string();
  request.store = !store.is_bool() || store.as_bool();
  request.repeated = Json::Object();
  const std::pair<const char*, Json> kRepeated[] = {
      {"instructions", {}},         {"max_output_tokens", {}},
      {"metadata", Json::Object()}, {"parallel_tool_calls", true},
      {"previous_response_id", {}}, {"reasoning", Json().set("effort", {}).set("summary", {})},
      {"temperature", {}},          {"text", Json().set("format", Json().set("type", "text"))},
      {"tool_choice", "auto"},      {"tools", Json::Array()},
      {"top_logprobs", 0},          {"top_p", {}},
      {"truncation", "disabled"},   {"user", {}}};
  for (const auto& [name, absent] : kRepeated)
    request.repeated.set(name, as_sent(body, name, absent));
  request.repeated.set("background", false).set("store", request.store);
  return request;
}

Result<Json> messages_of_items(const Json::Array& items, const std::string& instructions,
                               const RequestLimits& limits) {
  Messages messages(instructions);
  const Json list(items);
  const Arg arg{std::string(kInput), list, limits};
  for (size_t i = 0; i < items.size(); ++i) TRY(messages.add(arg.item(i)));
  return messages.take();
}

}  // namespace erne::server::responses
