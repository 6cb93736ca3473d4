// A stranger's JSON: what is read is written and read again as the same value, and counting its
// cost beforehand reads anything.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using erne::Json;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t cost = Json::parsing_cost(text);
  const auto json = Json::parse(text);
  if (!json.ok()) return 0;
  CHECK_GE(cost, sizeof(Json) * json->num_values());
  const auto again = Json::parse(json->dump());
  CHECK(again.ok());
  CHECK(*again == *json);
  return 0;
}
