#include "server/anthropic/messages_request.h"

#include <fmt/format.h>

#include <vector>

#include "server/translation.h"

namespace erne::server::anthropic {
namespace {

constexpr size_t kMaxMessages = 4096, kMaxBlocks = 1024, kMaxTools = 512;
constexpr size_t kMaxDescriptionBytes = size_t{1} << 20;
constexpr size_t kMaxStops = 16, kMaxStopBytes = 1024;

Result<std::string> text_blocks(const Arg& arg) {
  return joined_text(arg, {"text"});
}

// What one of Anthropic's messages comes to: results of tools are messages of their own.
struct Turn {
  Json::Array results;
  std::string text, thoughts;
  Json::Array calls;
};

Result<void> add_result(const Arg& block, Turn& turn) {
  const bool failed = member(block, "is_error").value == Json(true);
  const std::string text = TRY(text_blocks(member(block, "content")));
  turn.results.push_back(Json()
                             .set("role", "tool")
                             .set("tool_call_id", TRY(text_member(block, "tool_use_id")))
                             .set("content", failed ? "Error: " + text : text));
  return {};
}

Result<void> add_call(const Arg& block, Turn& turn) {
  const Arg input = member(block, "input");
  if (!input.value.is_object()) return input.wrong("an object");
  const Json function =
      Json().set("name", TRY(text_member(block, "name"))).set("arguments", input.value);
  turn.calls.push_back(Json()
                           .set("id", TRY(text_member(block, "id")))
                           .set("type", "function")
                           .set("function", function));
  return {};
}

Result<void> add_block(const Arg& block, bool of_user, Turn& turn) {
  const std::string type = TRY(type_of(block));
  if (type == "text") {
    turn.text += TRY(text_member(block, "text"));
    return {};
  }
  if (of_user && type == "tool_result") return add_result(block, turn);
  if (!of_user && type == "tool_use") return add_call(block, turn);
  if (!of_user && type == "thinking") {
    turn.thoughts += TRY(text_member(block, "thinking"));
    return {};
  }
  return unknown_type(block, type,
                      of_user ? "text and tool_result" : "text, thinking and tool_use");
}

Result<Turn> read_turn(const Arg& content, bool of_user) {
  Turn turn;
  if (content.value.is_string()) {
    turn.text = content.value.as_string();
    return turn;
  }
  TRY(list_of_at_most(content, kMaxBlocks, "blocks, or a string"));
  for (size_t i = 0; i < content.value.as_array().size(); ++i)
    TRY(add_block(content.item(i), of_user, turn));
  return turn;
}

Result<void> add_message(const Arg& arg, Json::Array& messages) {
  const Json& role = member(arg, "role").value;
  const bool of_user = role == Json("user");
  if (!of_user && !(role == Json("assistant")))
    return member(arg, "role").wrong("\"user\" or \"assistant\"");
  Turn turn = TRY(read_turn(member(arg, "content"), of_user));
  const bool only_results = !turn.results.empty() && turn.text.empty();
  for (Json& result : turn.results) messages.push_back(std::move(result));
  if (only_results) return {};
  Json message = Json().set("role", role).set("content", std::move(turn.text));
  if (!turn.thoughts.empty()) message.set("reasoning_content", std::move(turn.thoughts));
  if (!turn.calls.empty()) message.set("tool_calls", std::move(turn.calls));
  messages.push_back(std::move(message));
  return {};
}

Result<void> read_messages(const Arg& arg, Json& chat) {
  TRY(list_of_at_most(arg, kMaxMessages, "messages"));
  Json::Array messages;
  if (const Json* system = chat.find("messages")) messages = system->as_array();
  for (size_t i = 0; i < arg.value.as_array().size(); ++i) TRY(add_message(arg.item(i), messages));
  chat.set("messages", std::move(messages));
  return {};
}

// Its row comes before that of messages.
Result<void> read_system(const Arg& arg, Json& chat) {
  const std::string text = TRY(text_blocks(arg));
  if (!text.empty())
    chat.set("messages", Json::Array{Json().set("role", "system").set("content", text)});
  return {};
}

Result<void> read_stop_sequences(const Arg& arg, Json& chat) {
  TRY(strings(arg, kMaxStops, kMaxStopBytes));
  chat.set("stop", arg.value);
  return {};
}

Result<Json> tool_of(const Arg& arg) {
  const Json& type = member(arg, "type").value;
  if (!type.is_null() && !(type == Json("custom")))
    return unknown_type(arg, TRY(type_of(arg)), "tools of the client's own, of type \"custom\"");
  const Arg schema = member(arg, "input_schema");
  if (!schema.value.is_object()) return schema.wrong("a JSON schema, which is an object");
  Json function = Json().set("name", TRY(text_member(arg, "name")));
  if (const Arg description = member(arg, "description"); !description.value.is_null())
    function.set("description", TRY(string(description, kMaxDescriptionBytes)));
  function.set("parameters", schema.value);
  return Json().set("type", "function").set("function", std::move(function));
}

Result<void> read_tools(const Arg& arg, Json& chat) {
  TRY(list_of_at_most(arg, kMaxTools, "tools"));
  Json::Array tools;
  for (size_t i = 0; i < arg.value.as_array().size(); ++i)
    tools.push_back(TRY(tool_of(arg.item(i))));
  chat.set("tools", std::move(tools));
  return {};
}

Result<void> read_tool_choice(const Arg& arg, Json& chat) {
  const std::string type = TRY(type_of(arg));
  if (type == "auto" || type == "none") {
    chat.set("tool_choice", type);
  } else if (type == "any") {
    chat.set("tool_choice", "required");
  } else if (type == "tool") {
    chat.set("tool_choice",
             Json()
                 .set("type", "function")
                 .set("function", Json().set("name", TRY(text_member(arg, "name")))));
  } else {
    return member(arg, "type").wrong("\"auto\", \"any\", \"tool\" or \"none\"");
  }
  const Arg one_only = member(arg, "disable_parallel_tool_use");
  if (!one_only.value.is_null()) chat.set("parallel_tool_calls", !TRY(boolean(one_only)));
  return {};
}

Result<void> read_thinking(const Arg& arg, Json& chat) {
  const std::string type = TRY(type_of(arg));
  if (type == "adaptive") return {};
  if (type != "enabled" && type != "disabled")
    return member(arg, "type").wrong("\"enabled\", \"disabled\" or \"adaptive\"");
  chat.set("enable_thinking", type == "enabled");
  if (const Arg budget = member(arg, "budget_tokens"); !budget.value.is_null())
    chat.set("reasoning_max_tokens", TRY(integer(budget, 1, INT32_MAX)));
  return {};
}

Result<void> read_service_tier(const Arg& arg, Json&) {
  if (arg.value == Json("auto") || arg.value == Json("standard_only")) return {};
  return arg.wrong("\"auto\" or \"standard_only\"");
}

constexpr TranslationRow kCountedRows[] = {
    {"model", copy_field},       {"system", read_system},  // before messages
    {"messages", read_messages}, {"tools", read_tools},   {"tool_choice", read_tool_choice},
    {"thinking", read_thinking},
};
constexpr TranslationRow kOtherRows[] = {
    {"max_tokens", copy_max_tokens},
    {"stream", copy_field},
    {"temperature", copy_field},
    {"top_p", copy_field},
    {"top_k", copy_field},
    {"stop_sequences", read_stop_sequences},
    {"metadata", ignore_object},  // {"user_id"}, a label
    {"service_tier", read_service_tier},
};

}  // namespace

Result<Json> chat_of_messages(const Json& body, bool counts_only, const RequestLimits& limits) {
  if (counts_only) return translate(body, kCountedRows, {"messages"}, limits);
  std::vector<TranslationRow> rows(std::begin(kCountedRows), std::end(kCountedRows));
  rows.insert(rows.end(), std::begin(kOtherRows), std::end(kOtherRows));
  return translate(body, rows, {"messages", "max_tokens"}, limits);
}

}  // namespace erne::server::anthropic
