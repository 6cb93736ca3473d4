// What a client sends to a chat, as text and as JSON: its special tokens are the template's alone,
// and its ids spell the rendered text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/log.h"
#include "base/utf8.h"
#include "text/chat_prompt.h"
#include "text/text_goldens.h"

namespace {

using erne::Json;
using namespace erne::text;
using erne::TokenId;

Json one_message(std::string_view content) {
  return Json::Array{Json(Json::Object{{"role", "user"}, {"content", content}})};
}

std::vector<TokenId> specials_of(const RenderedChat& chat) {
  std::vector<TokenId> ids = chat.ids;
  std::erase_if(ids, [](TokenId id) { return !golden_tokenizer().is_special(id); });
  return ids;
}

// The model's pieces write a space as U+2581, which therefore comes back as a space.
std::string without_space_marks(std::string text) {
  for (size_t at; (at = text.find("\xE2\x96\x81")) != text.npos;) text.replace(at, 3, " ");
  return text;
}

void check_as_text(const ChatPrompt& prompt, std::string_view text) {
  const auto chat = prompt.render(one_message(text), Json(), Json());
  if (!chat.ok()) return;
  static const auto expected = specials_of(prompt.render(one_message("a"), Json(), Json()).value());
  CHECK(specials_of(*chat) == expected);
  CHECK(chat->text.find(text) != chat->text.npos);
}

void check_as_json(const ChatPrompt& prompt, std::string_view text) {
  const auto parsed = Json::parse(text);
  if (!parsed.ok()) return;
  const Json* messages = parsed->find("messages");
  const Json* tools = parsed->find("tools");
  const Json* variables = parsed->find("variables");
  const auto chat =
      prompt.render(messages != nullptr ? *messages : *parsed, tools != nullptr ? *tools : Json(),
                    variables != nullptr ? *variables : Json());
  if (!chat.ok()) return;
  CHECK(golden_tokenizer().decode(chat->ids, false) == without_space_marks(chat->text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  erne::set_log_level(erne::LogLevel::kError);
  static const ChatPrompt prompt =
      ChatPrompt::create({golden_text("thinking.jinja"), ""}, golden_tokenizer()).value();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!erne::is_valid_utf8(text)) return 0;
  check_as_text(prompt, text);
  check_as_json(prompt, text);
  return 0;
}
