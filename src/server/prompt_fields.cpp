// The fields that say what to continue: a chat's messages, or prompts as text or token ids.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "server/fields.h"
#include "text/chat_messages.h"

namespace erne::server {
namespace {

constexpr size_t kMaxMessages = 4096;
constexpr size_t kMaxParts = 1024;  // of one message
// In all messages: templates read any member, so each value becomes several before it is text.
constexpr size_t kMaxMessageValues = 65536;
constexpr size_t kMaxTemplateVariableBytes = size_t{16} << 10;
constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant",
                                                    "tool"};

bool is_list_of_integers(const Json& value) {
  if (!value.is_array() || value.as_array().empty()) return false;
  return std::all_of(value.as_array().begin(), value.as_array().end(),
                     [](const Json& item) { return item.is_integer(); });
}

Result<std::vector<TokenId>> prompt_ids(const Arg& arg) {
  if (arg.value.is_array() && arg.value.as_array().empty())
    return arg.wrong("a list of at least one token id");
  return token_ids_at_most(arg, arg.limits.max_prompt_tokens());
}

// What of a message's shape (text::check_messages) this API takes and owes.
Result<void> check_parts(const Arg& content) {
  TRY(list_of_at_most(content, kMaxParts, "parts"));
  for (size_t i = 0; i < content.value.as_array().size(); ++i) {
    const Arg part = content.item(i);
    const std::string& type = part.value.find("type")->as_string();
    if (type != "text")
      return unsupported(
          fmt::format("{} has the type \"{}\"; only parts of type \"text\" are built so "
                      "far",
                      part.name, type.substr(0, 40)),
          part.name);
  }
  return {};
}

// An assistant's turn may have been calls, thoughts or a refusal instead.
bool may_lack_content(const Json& message, const std::string& role) {
  if (role != "assistant") return false;
  for (const char* name : {"tool_calls", "function_call", "reasoning_content", "refusal"}) {
    const Json* instead = message.find(name);
    const bool is_there = instead != nullptr && !instead->is_null() &&
                          !(instead->is_array() && instead->as_array().empty());
    if (is_there) return true;
  }
  return false;
}

Result<void> check_message(const Arg& message) {
  const Json& role = *message.value.find("role");
  if (std::find(kRoles.begin(), kRoles.end(), role.as_string()) == kRoles.end())
    return Arg{message.name + ".role", role, message.limits}.wrong(
        fmt::format("one of {}", fmt::join(kRoles, ", ")));
  const Json* content = message.value.find("content");
  if (content != nullptr && content->is_array())
    return check_parts(Arg{message.name + ".content", *content, message.limits});
  const bool is_there = content != nullptr && !content->is_null();
  if (is_there || may_lack_content(message.value, role.as_string())) return {};
  return invalid(fmt::format("{0}.content is missing: a string or a list of parts; an assistant's "
                             "message may leave it out where it has tool_calls",
                             message.name),
                 message.name + ".content");
}

// OpenAI's newer name of the system's role; templates know the older.
void rename_developer(Json& message) {
  if (message.find("role")->as_string() == "developer") message.set("role", "system");
}

// FastDeploy also takes a list of token ids here. prompt_token_ids, whose row comes first, counts
// before it.
Result<void> read_messages(const Arg& arg, GenerationRequest& r) {
  if (is_list_of_integers(arg.value)) {
    std::vector<TokenId> ids = TRY(prompt_ids(arg));
    if (r.prompts.empty()) r.prompts = {std::move(ids)};
    return {};
  }
  TRY(list_of_at_most(arg, kMaxMessages, "messages"));
  if (const size_t num_values = arg.value.num_values(); num_values > kMaxMessageValues)
    return invalid(fmt::format("{} must hold at most {} JSON values, found {}", arg.name,
                               kMaxMessageValues, num_values),
                   arg.name);
  TRY(text::check_messages(arg.value));
  for (size_t i = 0; i < arg.value.as_array().size(); ++i) TRY(check_message(arg.item(i)));
  r.messages = arg.value;
  for (Json& message : r.messages.as_array()) rename_developer(message);
  return {};
}

Result<void> read_template_variables(const Arg& arg, GenerationRequest& r) {
  if (!arg.value.is_object()) return arg.wrong("an object");
  if (arg.value.dump().size() > kMaxTemplateVariableBytes)
    return invalid(
        fmt::format("{} must be at most {} bytes of JSON", arg.name, kMaxTemplateVariableBytes),
        arg.name);
  for (const auto& [name, value] : arg.value.as_object()) r.template_variables.set(name, value);
  if (const Arg thinking = member(arg, "enable_thinking"); thinking.value.is_bool()) {
    r.thinking = thinking.value.as_bool();
    r.thinking_field = thinking.name;
  }
  return {};
}

Result<void> read_add_generation_prompt(const Arg& arg, GenerationRequest& r) {
  const Json asked = TRY(boolean(arg));
  const Json* other = r.template_variables.find(arg.name);  // its row comes before this one
  if (other != nullptr && !(*other == asked))
    return invalid(fmt::format("{0} is {1}, and chat_template_kwargs.{0} says otherwise: send one "
                               "of them",
                               arg.name, asked.dump()),
                   arg.name);
  r.template_variables.set(arg.name, asked);
  return {};
}

// Its row is before those of messages and prompt: it counts before them.
Result<void> read_prompt_token_ids(const Arg& arg, GenerationRequest& r) {
  const bool nested =
      arg.value.is_array() && !arg.value.as_array().empty() && arg.value.as_array()[0].is_array();
  if (!nested || r.endpoint == Endpoint::kChat) {
    r.prompts = {TRY(prompt_ids(arg))};
    return {};
  }
  TRY(list_of_at_most(arg, kMaxChoices, "lists of token ids"));
  std::vector<Prompt> prompts;
  for (size_t i = 0; i < arg.value.as_array().size(); ++i)
    prompts.emplace_back(TRY(prompt_ids(arg.item(i))));
  r.prompts = std::move(prompts);
  return {};
}

Result<Prompt> read_one_prompt(const Arg& arg) {
  if (arg.value.is_string()) return Prompt(arg.value.as_string());
  if (arg.value.is_array()) return Prompt(TRY(prompt_ids(arg)));
  return arg.wrong("a string or a list of token ids");
}

// A text, a list of texts, token ids or a list of lists of token ids.
Result<std::vector<Prompt>> prompts_of(const Arg& arg) {
  std::vector<Prompt> prompts;
  if (arg.value.is_string() || is_list_of_integers(arg.value)) {
    prompts.push_back(TRY(read_one_prompt(arg)));
    return prompts;
  }
  if (!arg.value.is_array() || arg.value.as_array().empty())
    return arg.wrong("a string, a list of strings, a list of token ids or a list of such lists");
  TRY(list_of_at_most(arg, kMaxChoices, "prompts"));
  for (size_t i = 0; i < arg.value.as_array().size(); ++i)
    prompts.push_back(TRY(read_one_prompt(arg.item(i))));
  return prompts;
}

Result<void> read_prompt(const Arg& arg, GenerationRequest& r) {
  std::vector<Prompt> prompts = TRY(prompts_of(arg));
  if (r.prompts.empty()) r.prompts = std::move(prompts);
  return {};
}

Result<void> read_completion_token_ids(const Arg& arg, GenerationRequest& r) {
  r.completion_token_ids = TRY(token_ids_at_most(arg, arg.limits.max_prompt_tokens()));
  return {};
}

constexpr Field kPromptFields[] = {
    {"prompt_token_ids", kBoth, read_prompt_token_ids},
    {"messages", kChatOnly, read_messages},
    {"chat_template_kwargs", kChatOnly, read_template_variables},
    {"add_generation_prompt", kChatOnly, read_add_generation_prompt},
    {"prompt", kCompletionsOnly, read_prompt},
    {"completion_token_ids", kBoth, read_completion_token_ids},
};

}  // namespace

std::span<const Field> prompt_fields() {
  return kPromptFields;
}

}  // namespace erne::server
