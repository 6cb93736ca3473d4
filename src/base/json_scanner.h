// Follows a JSON object (RFC 8259) that arrives byte by byte, without keeping any of it: whether
// each byte may stand where it does, and what part of the object it belongs to. For texts that are
// read while they are written; json.h has the values of whole ones.
#pragma once

#include <cstdint>
#include <string>

namespace erne {

class JsonScanner {
 public:
  // Of the outermost object: its braces, commas, colons and the space between, or of one of its
  // members the key, with its quotes, or the value, however deep.
  enum class Part { kAround, kKey, kValue };

  // False: no JSON object goes on like this. Then nothing was taken, and the same holds for a
  // second try. A complete object may be followed by white space.
  bool push(char c);
  Part part() const { return part_; }  // of the byte pushed last

  bool complete() const { return expects_ == Expects::kNothing; }
  // Whether the outermost object lacks its last brace and nothing else.
  bool lacks_brace() const {
    return nesting_.size() == 1 &&
           (expects_ == Expects::kCommaOrEnd || expects_ == Expects::kRestOfNumber);
  }
  // In a string's text, where any mark would be part of it.
  bool in_string() const {
    return expects_ == Expects::kStringByte || expects_ == Expects::kEscaped ||
           expects_ == Expects::kHexDigit;
  }

 private:
  enum class Expects : uint8_t {
    kObject,
    kFirstKeyOrEnd,
    kKey,
    kColon,
    kValue,
    kFirstItemOrEnd,
    kCommaOrEnd,
    kStringByte,
    kEscaped,
    kHexDigit,
    kDigit,         // the first of a number's whole part, of its fraction or of its exponent
    kSignOrDigit,   // of an exponent
    kRestOfNumber,  // what may follow is in number_
    kRestOfWord,    // of true, false or null
    kNothing,
  };
  // How far a number has got.
  enum class Number : uint8_t { kZero, kWhole, kFraction, kExponent };

  bool begin_value(char c);
  bool take_structure(char c);
  bool take_string(char c);
  bool take_number(char c);
  void open(char bracket);
  void close();

  std::string nesting_;  // the open brackets: '{' and '['
  Expects expects_ = Expects::kObject;
  Number number_ = Number::kZero;
  bool string_is_key_ = false;
  uint8_t hex_digits_left_ = 0;
  const char* rest_of_word_ = "";
  Part part_ = Part::kAround;
};

}  // namespace erne
