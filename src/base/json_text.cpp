#include "base/json_text.h"

#include <fmt/format.h>

namespace erne {

std::string brief(const Json& value) {
  constexpr size_t kMaxShownBytes = 40;
  if (value.is_array()) return fmt::format("an array of {} items", value.as_array().size());
  if (value.is_object()) return "an object";
  if (value.is_string() && value.as_string().size() > kMaxShownBytes)
    return fmt::format("a string of {} bytes", value.as_string().size());
  return value.dump();
}

}  // namespace erne
