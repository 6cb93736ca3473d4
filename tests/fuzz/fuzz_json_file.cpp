// Files of JSON: what the strict parser reads the lenient one reads as well, and all it reads can
// be written and read again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace erne;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto lenient = parse_json_file(text);
  if (Json::parse(text).ok()) CHECK(lenient.ok());
  if (lenient.ok()) CHECK(parse_json_file(lenient->dump()).ok());
  return 0;
}
