// A checkpoint's chat template: whatever it says, compiling and rendering end, within their bounds.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/log.h"
#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using erne::Json;
  erne::set_log_level(erne::LogLevel::kError);
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto chat = erne::text::ChatTemplate::compile({text, ""}, {{"bos_token", "<s>"}});
  if (!chat.ok()) return 0;
  const Json message = Json::Object{{"role", "user"}, {"content", "a b"}};
  (void)chat->render(Json::Array{message, message}, Json(), Json());
  return 0;
}
