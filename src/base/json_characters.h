// What JSON's grammar (RFC 8259) counts as white space and as a digit.
#pragma once

namespace erne {

inline bool is_json_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace erne
