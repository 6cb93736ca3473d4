#include "text/chat_template.h"

#include <erne_rs.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/json_file.h"
#include "base/log.h"
#include "text/tokenizer_files.h"

namespace erne::text {
namespace {

std::string take(erne_text text) {
  std::string taken(text.data, text.length);
  erne_text_free(text);
  return taken;
}

// `text` becomes the rendered text, or why there is none.
erne_outcome run(const erne_template* compiled, const Json& context, std::string& text) {
  const std::string json = context.dump();
  erne_text out{};
  const auto outcome = erne_template_render(compiled, json.data(), json.size(), &out);
  text = take(out);
  return outcome;
}

Status outcome_status(erne_outcome outcome, const std::string& why) {
  switch (outcome) {
    case ERNE_REFUSED:
      return invalid(why, "messages");
    case ERNE_LIMIT:
      log_warning("chat template: {}", why);
      return {Code::kTooLong,
              "the chat template needs too many steps, too much memory or time for these messages",
              "messages"};
    case ERNE_EXHAUSTED:
      log_warning("chat template: {}", why);
      return {Code::kExhausted, "there is no memory for rendering these messages just now",
              "messages"};
    default:
      log_warning("chat template: {}", why);
      return invalid("the checkpoint's chat template cannot render these messages", "messages");
  }
}

// tokenizer_config.json's chat_template, or chat_template.json's: a text, or a list of
// {"name": ..., "template": ...}.
Result<ChatTemplateSource> source_of(const Json& value, const char* file) {
  ChatTemplateSource source;
  if (value.is_string()) {
    source.text = value.as_string();
    return source;
  }
  const Status wrong = invalid(fmt::format(
      "{}: chat_template: expected a text or a list of objects with name and template", file));
  if (!value.is_array()) return wrong;
  for (const Json& item : value.as_array()) {
    const Json* name = item.find("name");
    const Json* text = item.find("template");
    if (name == nullptr || !name->is_string() || text == nullptr || !text->is_string())
      return wrong;
    if (name->as_string() == "default") source.text = text->as_string();
    if (name->as_string() == "tool_use") source.with_tools = text->as_string();
  }
  if (source.text.empty())
    return invalid(fmt::format("{}: chat_template: no template is named default", file));
  return source;
}

}  // namespace

Result<ChatTemplateSource> ChatTemplateSource::load(const std::filesystem::path& model_dir) {
  ChatTemplateSource source;
  source.text = TRY(read_optional_file(model_dir / "chat_template.jinja"));
  if (!is_blank(source.text)) return source;
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    const std::string text = TRY(read_optional_file(model_dir / name));
    if (is_blank(text)) continue;
    const auto json = parse_json_file(text);
    if (!json.ok()) return invalid(fmt::format("{}: {}", name, json.status().message));
    const Json* value = json->find("chat_template");
    if (value != nullptr && !value->is_null()) return source_of(*value, name);
  }
  return Status{Code::kNotFound, fmt::format("{} has no chat template", model_dir.string())};
}

void ChatTemplate::Free::operator()(erne_template* compiled) const {
  erne_template_free(compiled);
}

Result<ChatTemplate::Compiled> ChatTemplate::compile_text(std::string_view marked) {
  const auto unmarked = without_byte_order_mark(marked);
  if (!unmarked.ok()) return invalid("chat template: " + unmarked.status().message);
  const std::string_view text = *unmarked;
  erne_template* compiled = nullptr;
  erne_text error{};
  const auto outcome = erne_template_compile(text.data(), text.size(), &compiled, &error);
  const std::string why = take(error);
  if (outcome != ERNE_DONE) return invalid("chat template: " + why);
  return Compiled(compiled);
}

Result<ChatTemplate> ChatTemplate::compile(const ChatTemplateSource& source, Json::Object globals) {
  ChatTemplate compiled;
  compiled.plain_ = TRY(compile_text(source.text));
  if (!source.with_tools.empty()) compiled.with_tools_ = TRY(compile_text(source.with_tools));
  compiled.globals_ = std::move(globals);
  return compiled;
}

Result<ChatTemplate> ChatTemplate::load(const std::filesystem::path& model_dir) {
  const ChatTemplateSource source = TRY(ChatTemplateSource::load(model_dir));
  const TokenizerConfig config = TRY(parse_tokenizer_config(TRY(load_tokenizer_files(model_dir))));
  Json::Object globals;
  for (const auto& [name, content] : config.named) globals.emplace_back(name, content);
  return compile(source, std::move(globals));
}

Result<Json> ChatTemplate::context(const Json& messages, const Json& tools,
                                   const Json& variables) const {
  Json::Object context = globals_;
  context.emplace_back("messages", messages);
  context.emplace_back("tools", tools);
  context.emplace_back("documents", Json());
  if (!variables.is_object()) return Json(std::move(context));
  const auto num_reserved = static_cast<std::ptrdiff_t>(context.size());
  for (const auto& variable : variables.as_object()) {
    const auto is_same = [&](const auto& reserved) { return reserved.first == variable.first; };
    if (std::any_of(context.begin(), context.begin() + num_reserved, is_same))
      return invalid(fmt::format("the template variable {} cannot be set", variable.first),
                     variable.first);
    context.push_back(variable);
  }
  return Json(std::move(context));
}

const erne_template* ChatTemplate::compiled_for(const Json& tools) const {
  const bool has_tools = tools.is_array() && !tools.as_array().empty();
  return has_tools && with_tools_ ? with_tools_.get() : plain_.get();
}

Result<std::string> ChatTemplate::render(const Json& messages, const Json& tools,
                                         const Json& variables) const {
  std::string text;
  const auto outcome = run(compiled_for(tools), TRY(context(messages, tools, variables)), text);
  if (outcome != ERNE_DONE) return outcome_status(outcome, text);
  return text;
}

Result<std::optional<std::string>> ChatTemplate::try_render(const Json& messages,
                                                            const Json& tools) const {
  std::string text;
  const auto outcome = run(compiled_for(tools), TRY(context(messages, tools, Json())), text);
  if (outcome == ERNE_LIMIT)
    return Status{Code::kTooLong, "chat template: rendering a chat of one word, " + text};
  return outcome == ERNE_DONE ? std::optional(text) : std::nullopt;
}

}  // namespace erne::text
