#include "server/api_key.h"

#include <cstdint>

namespace erne::server {
namespace {

constexpr std::string_view kScheme = "bearer ";

bool starts_with_scheme(std::string_view text) {
  if (text.size() < kScheme.size()) return false;
  for (size_t i = 0; i < kScheme.size(); ++i) {
    const char c = text[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower != kScheme[i]) return false;
  }
  return true;
}

// Looks at all of `found`, and at as many bytes of `key`, whatever they are.
bool equal(std::string_view found, std::string_view key) {
  uint8_t difference = found.size() != key.size();
  for (size_t i = 0; i < found.size(); ++i)
    difference |= static_cast<uint8_t>(found[i]) ^
                  static_cast<uint8_t>(key.empty() ? '\0' : key[i % key.size()]);
  return difference == 0;
}

}  // namespace

bool is_authorized(std::string_view authorization, const std::vector<std::string>& keys) {
  if (keys.empty()) return true;
  if (!starts_with_scheme(authorization)) return false;
  authorization.remove_prefix(kScheme.size());
  bool known = false;
  for (const std::string& key : keys) known |= equal(authorization, key);
  return known && !authorization.empty();
}

}  // namespace erne::server
