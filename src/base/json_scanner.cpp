#include "base/json_scanner.h"

#include "base/json_characters.h"

namespace erne {
namespace {

bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

bool JsonScanner::push(char c) {
  const bool was_inside = nesting_.size() > 1;
  switch (expects_) {
    case Expects::kStringByte:
    case Expects::kEscaped:
    case Expects::kHexDigit:
      // The outermost object's keys are keys, all else in it belongs to a value.
      part_ = string_is_key_ && !was_inside ? Part::kKey : Part::kValue;
      return take_string(c);
    case Expects::kRestOfWord:
      part_ = Part::kValue;
      if (c != *rest_of_word_) return false;
      if (*++rest_of_word_ == '\0') expects_ = Expects::kCommaOrEnd;
      return true;
    case Expects::kDigit:
    case Expects::kSignOrDigit:
    case Expects::kRestOfNumber:
      part_ = Part::kValue;
      if (take_number(c)) return true;
      if (expects_ != Expects::kRestOfNumber) return false;
      expects_ = Expects::kCommaOrEnd;  // the number ended before c
      break;
    default:
      break;
  }
  part_ = was_inside ? Part::kValue : Part::kAround;
  return is_json_space(c) || take_structure(c);
}

bool JsonScanner::take_structure(char c) {
  const bool in_object = !nesting_.empty() && nesting_.back() == '{';
  switch (expects_) {
    case Expects::kObject:
      if (c != '{') return false;
      open(c);
      return true;
    case Expects::kFirstKeyOrEnd:
    case Expects::kKey:
      if (c == '}' && expects_ == Expects::kFirstKeyOrEnd) {
        close();
        return true;
      }
      if (c != '"') return false;
      expects_ = Expects::kStringByte;
      string_is_key_ = true;
      if (nesting_.size() == 1) part_ = Part::kKey;
      return true;
    case Expects::kColon:
      if (c != ':') return false;
      expects_ = Expects::kValue;
      return true;
    case Expects::kFirstItemOrEnd:
      if (c == ']') {
        close();
        return true;
      }
      return begin_value(c);
    case Expects::kValue:
      return begin_value(c);
    case Expects::kCommaOrEnd:
      if (c == ',') {
        expects_ = in_object ? Expects::kKey : Expects::kValue;
        return true;
      }
      if (c != (in_object ? '}' : ']')) return false;
      close();
      return true;
    default:
      return false;
  }
}

bool JsonScanner::begin_value(char c) {
  if (c == '{' || c == '[') {
    open(c);
  } else if (c == '"') {
    expects_ = Expects::kStringByte;
    string_is_key_ = false;
  } else if (c == '-') {
    number_ = Number::kWhole;
    expects_ = Expects::kDigit;
  } else if (is_digit(c)) {
    number_ = c == '0' ? Number::kZero : Number::kWhole;
    expects_ = Expects::kRestOfNumber;
  } else if (c == 't' || c == 'f' || c == 'n') {
    rest_of_word_ = c == 't' ? "rue" : c == 'f' ? "alse" : "ull";
    expects_ = Expects::kRestOfWord;
  } else {
    return false;
  }
  part_ = Part::kValue;
  return true;
}

bool JsonScanner::take_string(char c) {
  if (expects_ == Expects::kHexDigit) {
    if (!is_hex_digit(c)) return false;
    if (--hex_digits_left_ == 0) expects_ = Expects::kStringByte;
    return true;
  }
  if (expects_ == Expects::kEscaped) {
    hex_digits_left_ = c == 'u' ? 4 : 0;
    const bool known = c == 'u' || std::string("\"\\/bfnrt").find(c) != std::string::npos;
    if (known) expects_ = c == 'u' ? Expects::kHexDigit : Expects::kStringByte;
    return known;
  }
  if (static_cast<unsigned char>(c) < 0x20) return false;
  if (c == '\\') expects_ = Expects::kEscaped;
  if (c == '"') expects_ = string_is_key_ ? Expects::kColon : Expects::kCommaOrEnd;
  return true;
}

bool JsonScanner::take_number(char c) {
  if (expects_ == Expects::kDigit || expects_ == Expects::kSignOrDigit) {
    if (expects_ == Expects::kSignOrDigit && (c == '+' || c == '-')) {
      expects_ = Expects::kDigit;
      return true;
    }
    if (!is_digit(c)) return false;
    if (number_ == Number::kWhole && c == '0') number_ = Number::kZero;
    expects_ = Expects::kRestOfNumber;
    return true;
  }
  if (is_digit(c)) return number_ != Number::kZero;
  if (c == '.' && (number_ == Number::kZero || number_ == Number::kWhole)) {
    number_ = Number::kFraction;
    expects_ = Expects::kDigit;
    return true;
  }
  if ((c == 'e' || c == 'E') && number_ != Number::kExponent) {
    number_ = Number::kExponent;
    expects_ = Expects::kSignOrDigit;
    return true;
  }
  return false;
}

void JsonScanner::open(char bracket) {
  nesting_ += bracket;
  expects_ = bracket == '{' ? Expects::kFirstKeyOrEnd : Expects::kFirstItemOrEnd;
}

void JsonScanner::close() {
  nesting_.pop_back();
  expects_ = nesting_.empty() ? Expects::kNothing : Expects::kCommaOrEnd;
}

}  // namespace erne
