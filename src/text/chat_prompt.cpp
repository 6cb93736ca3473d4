#include "text/chat_prompt.h"

#include <fmt/format.h>

#include <optional>

#include "base/utf8.h"
#include "text/chat_messages.h"

namespace erne::text {
namespace {

Json message(const char* role, Json content) {
  return Json(Json::Object{{"role", role}, {"content", std::move(content)}});
}

Json text_part(const char* text) {
  return Json(Json::Object{{"type", "text"}, {"text", text}});
}

Json::Object named_tokens(const Tokenizer& tokenizer) {
  Json::Object globals;
  for (const auto& [name, content] : tokenizer.named_tokens()) globals.emplace_back(name, content);
  return globals;
}

// The special tokens that a text spells.
std::vector<TokenId> specials_in(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> ids;
  while (!text.empty()) {
    const auto added = tokenizer.added_token_at(text);
    if (added && added->special) ids.push_back(added->id);
    text.remove_prefix(added ? added->length : utf8_step(text).length);
  }
  return ids;
}

// The first special token of `expected` that `found` does not have in its place.
std::optional<TokenId> lost_special(const std::vector<TokenId>& expected,
                                    const std::vector<TokenId>& found) {
  for (size_t i = 0; i < expected.size(); ++i)
    if (i >= found.size() || found[i] != expected[i]) return expected[i];
  return std::nullopt;
}

}  // namespace

std::vector<TokenId> turn_ends(const Tokenizer& tokenizer) {
  std::vector<TokenId> ids;
  for (const std::string_view piece : {"<|end_of_sentence|>", "<|im_end|>"})
    if (const auto id = tokenizer.find(piece); id && tokenizer.is_special(*id)) ids.push_back(*id);
  return ids;
}

Result<ChatPrompt> ChatPrompt::load(const std::filesystem::path& model_dir,
                                    const Tokenizer& tokenizer) {
  return create(TRY(ChatTemplateSource::load(model_dir)), tokenizer);
}

Result<ChatPrompt> ChatPrompt::create(const ChatTemplateSource& source,
                                      const Tokenizer& tokenizer) {
  SpecialMarks marks(tokenizer);
  const ChatTemplateSource marked = {TRY(marks.mark(source.text)),
                                     TRY(marks.mark(source.with_tools))};
  Json::Object globals;
  for (const auto& [name, content] : tokenizer.named_tokens())
    globals.emplace_back(name, TRY(marks.mark(content)));

  const ChatTemplate unmarked = TRY(ChatTemplate::compile(source, named_tokens(tokenizer)));
  ChatPrompt prompt(std::move(marks), TRY(ChatTemplate::compile(marked, std::move(globals))));
  TRY(prompt.check_marks(unmarked, tokenizer));
  prompt.takes_parts_ = TRY(prompt.walks_through_parts());
  prompt.takes_tools_ = TRY(prompt.tells_of_tools());
  return prompt;
}

// A template that joins "<|" + role + "|>" would lose that token, because its pieces are only text.
Result<void> ChatPrompt::check_marks(const ChatTemplate& unmarked,
                                     const Tokenizer& tokenizer) const {
  const Json::Array chats[] = {
      {message("user", "a")},
      {message("system", "a"), message("user", "b")},
      {message("user", "a"), message("assistant", "b"), message("user", "c")},
  };
  for (const Json::Array& chat : chats) {
    const auto plain = TRY(unmarked.try_render(chat));
    const auto rendered = TRY(template_.try_render(chat));
    if (!plain || !rendered) continue;  // not every template knows every role
    const auto lost = lost_special(specials_in(tokenizer, *plain), marks_.specials(*rendered));
    if (!lost) continue;
    return unsupported(fmt::format(
        "chat template: the special token {} is put together from pieces, and cannot be "
        "told from a client's text",
        tokenizer.token_bytes(*lost)));
  }
  return {};
}

Result<bool> ChatPrompt::walks_through_parts() const {
  const Json::Array as_text = {message("user", "a")};
  const Json::Array as_parts = {message("user", Json::Array{text_part("a")})};
  const auto expected = TRY(template_.try_render(as_text));
  return expected.has_value() && TRY(template_.try_render(as_parts)) == expected;
}

Result<bool> ChatPrompt::tells_of_tools() const {
  const Json::Array chat = {message("user", "a")};
  const Json function =
      Json()
          .set("name", "b")
          .set("description", "c")
          .set("parameters", Json().set("type", "object").set("properties", Json::Object()));
  const Json::Array tools = {Json().set("type", "function").set("function", function)};
  const auto told = TRY(template_.try_render(chat, tools));
  return told.has_value() && told != TRY(template_.try_render(chat));
}

// The content of a message whose shape is right, as the template takes it.
Result<Json> ChatPrompt::prepared_content(const Json* content, const std::string& where) const {
  if (content == nullptr || content->is_null()) return Json("");
  if (content->is_string() || takes_parts_) return marks_.escape(*content);
  std::string joined;
  for (size_t i = 0; i < content->as_array().size(); ++i) {
    const Json& part = content->as_array()[i];
    const std::string& type = part.find("type")->as_string();
    const std::string name = fmt::format("{}[{}]", where, i);
    if (type != "text")
      return unsupported(fmt::format("{}: this model's chat template takes text parts only, not {}",
                                     name, type.substr(0, 40)),
                         name);
    joined += part.find("text")->as_string();
  }
  return Json(marks_.escape_text(joined));
}

// Clients send a call's arguments as text, as they got them; templates write them as JSON.
void ChatPrompt::read_arguments(Json& message) {
  Json* calls = message.find("tool_calls");
  if (calls == nullptr || !calls->is_array()) return;
  for (Json& call : calls->as_array()) {
    Json& function = *call.find("function");
    const Json* arguments = function.find("arguments");
    if (arguments == nullptr || !arguments->is_string()) continue;
    Result<Json> read = Json::parse(arguments->as_string());
    if (read.ok() && read->is_object()) function.set("arguments", std::move(read).value());
  }
}

Result<Json> ChatPrompt::prepared(const Json& messages) const {
  TRY(check_messages(messages));
  Json::Array prepared;
  for (size_t i = 0; i < messages.as_array().size(); ++i) {
    const Json& message = messages.as_array()[i];
    const std::string where = fmt::format("messages[{}].content", i);
    Json copy = marks_.escape(message);
    copy.set("content", TRY(prepared_content(message.find("content"), where)));
    read_arguments(copy);
    prepared.push_back(std::move(copy));
  }
  return Json(std::move(prepared));
}

Result<RenderedChat> ChatPrompt::render(const Json& messages, const Json& tools,
                                        const Json& variables, const EncodeLimits& limits) const {
  if (!tools.is_null() && !takes_tools_)
    return unsupported("this model's chat template has no place for tools", "tools");
  const Json safe_messages = TRY(prepared(messages));
  auto rendered = template_.render(safe_messages, marks_.escape(tools), marks_.escape(variables));
  if (!rendered.ok()) {
    Status status = rendered.status();
    status.message = marks_.spell_out(status.message);
    return status;
  }
  if (marks_.least_tokens(rendered->size()) > limits.max_tokens)
    return Status{Code::kTooLong,
                  fmt::format("the chat has {} bytes of text, certainly more than {} tokens",
                              rendered->size(), limits.max_tokens),
                  "messages"};
  auto ids = marks_.encode(*rendered, limits);
  if (!ids.ok()) {
    const Status& status = ids.status();
    return Status{status.code, "the chat: " + status.message, "messages"};
  }
  return RenderedChat{marks_.spell_out(*rendered), std::move(ids).value()};
}

}  // namespace erne::text
