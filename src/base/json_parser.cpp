// Json::parse: recursive descent over a text whose UTF-8 has been checked. A first pass counts the
// children of every array and object, so that each is built in one allocation of the right size.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/json.h"
#include "base/json_characters.h"
#include "base/utf8.h"

namespace erne {
namespace {

constexpr size_t kPerAllocation = 16;  // of malloc's own, and rounding up
constexpr size_t kInsideString = 15;   // characters a std::string holds without an allocation

// Where the string that begins at `at` is closed; npos: nowhere. An escaped quote closes nothing.
size_t closing_quote(std::string_view text, size_t at) {
  while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  return at < text.size() ? at : std::string_view::npos;
}

// Walks over the brackets, commas and strings of a text, valid or not, without recursion.
// Calls open(is_object), comma(), close() and scalar(bytes of the text, is a string).
template <class Visitor>
void outline(std::string_view text, Visitor& visitor) {
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char c = text[at++];
    if (c == '"') {
      const size_t closing = closing_quote(text, at);
      at = closing == std::string_view::npos ? text.size() : closing + 1;
      visitor.scalar(at - begin, true);
    } else if (c == '[' || c == '{') {
      visitor.open(c == '{');
    } else if (c == ']' || c == '}') {
      visitor.close();
    } else if (c == ',') {
      visitor.comma();
    } else if (!is_json_space(c) && c != ':') {
      while (at < text.size() && !is_json_space(text[at]) && text[at] != ',' && text[at] != ']' &&
             text[at] != '}')
        ++at;
      visitor.scalar(at - begin, false);
    }
  }
}

// How many children each array or object has, in the order in which they open; of a member, its
// name and its value are two. Deeper than any parser goes nothing is counted: that text is refused.
class ChildCounter {
 public:
  void open(bool) {
    child();
    if (depth_ < std::size(stack_)) stack_[depth_++] = counts.size();
    counts.push_back(0);
  }
  void close() {
    if (depth_ > 0) --depth_;
  }
  // Nothing is reserved for commas: a text of them alone would take much that CostCounter knows
  // nothing of.
  void comma() {}
  void scalar(size_t, bool) { child(); }

  std::vector<uint32_t> counts;

 private:
  void child() {
    if (depth_ > 0) ++counts[stack_[depth_ - 1]];
  }
  size_t stack_[256];
  size_t depth_ = 0;
};

// Json::parsing_cost. Of brackets within brackets only the kind is remembered, up to a depth beyond
// which no text is parsed.
class CostCounter {
 public:
  void open(bool is_object) {
    value();
    if (depth_ < 256) is_object_[depth_] = is_object;
    ++depth_;
    bytes += 3 * sizeof(uint32_t);  // its count, while the list of counts moves to a larger place
    is_new_ = true;
  }
  void close() {
    if (depth_ > 0) --depth_;
    is_new_ = false;
  }
  void comma() { expects_value_ = false; }
  void scalar(size_t length, bool is_string) {
    const bool is_key = is_string && in_object() && !expects_value_;
    if (is_key) {
      begin_container();
      expects_value_ = true;
      bytes += sizeof(std::pair<std::string, Json>) + heap(length);
      return;
    }
    value();
    if (is_string && length > 2) bytes += sizeof(std::string) + kPerAllocation + heap(length);
  }

  size_t bytes = 0;

 private:
  bool in_object() const { return depth_ > 0 && depth_ <= 256 && is_object_[depth_ - 1]; }
  static size_t heap(size_t length) { return length > kInsideString ? length + kPerAllocation : 0; }
  void begin_container() {
    if (std::exchange(is_new_, false)) bytes += sizeof(Json::Array) + 2 * kPerAllocation;
  }
  void value() {
    begin_container();
    if (!in_object())
      bytes += sizeof(Json);
    else if (!expects_value_)  // a member's is in its pair, and this one has no name
      bytes += sizeof(std::pair<std::string, Json>);
    expects_value_ = false;
  }

  bool is_object_[256];
  size_t depth_ = 0;
  bool is_new_ = false;         // the innermost container has no child yet
  bool expects_value_ = false;  // a member's name has been seen
};

class Parser {
 public:
  Parser(std::string_view text, int max_depth) : text_(text), max_depth_(max_depth) {}

  Result<Json> parse() {
    if (!is_valid_utf8(text_)) return invalid("not valid JSON: its bytes are not UTF-8");
    ChildCounter counter;
    outline(text_, counter);
    counts_ = std::move(counter.counts);
    Json json;
    if (!value(json, 0)) return failure();
    skip_spaces();
    if (at_ < text_.size()) fail("there is more behind its end");
    if (failure_ != nullptr) return failure();
    return json;
  }

 private:
  // Where in the text, and not what: that may be a stranger's secret.
  Status failure() const {
    if (too_deep_)
      return invalid("JSON is nested deeper than " + std::to_string(max_depth_) + " levels");
    return invalid("not valid JSON: " + std::string(failure_) + ", at byte " +
                   std::to_string(at_ + 1));
  }
  bool fail(const char* why) {
    if (failure_ == nullptr) failure_ = why;
    return false;
  }

  void skip_spaces() {
    while (at_ < text_.size() && is_json_space(text_[at_])) ++at_;
  }
  bool skip(char c) {
    skip_spaces();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  bool value(Json& out, int depth) {
    skip_spaces();
    if (at_ == text_.size()) return fail("it ends too early");
    switch (text_[at_]) {
      case '{':
        return object(out, depth + 1);
      case '[':
        return array(out, depth + 1);
      case '"': {
        std::string text;
        if (!string(text)) return false;
        out = std::move(text);
        return true;
      }
      default:
        return other(out);
    }
  }

  bool enter(int depth) {
    ++at_;
    too_deep_ |= depth > max_depth_;
    return !too_deep_ || fail("too deep");
  }

  // The brackets come in the order in which the first pass has seen them, up to where a text stops
  // being valid.
  size_t next_count() { return next_count_ < counts_.size() ? counts_[next_count_++] : 0; }

  bool array(Json& out, int depth) {
    if (!enter(depth)) return false;
    Json::Array items;
    const size_t count = next_count();
    items.reserve(count);
    if (skip(']')) {
      out = std::move(items);
      return true;
    }
    do {
      if (items.size() == count) return fail("a value is missing");  // no room was counted for it
      if (!value(items.emplace_back(), depth)) return false;
    } while (skip(','));
    if (!skip(']')) return fail("a comma or ] is missing");
    out = std::move(items);
    return true;
  }

  bool object(Json& out, int depth) {
    if (!enter(depth)) return false;
    Json::Object members;
    members.reserve((next_count() + 1) / 2);  // one may have a name and no value
    if (skip('}')) {
      out = std::move(members);
      return true;
    }
    do {
      skip_spaces();
      if (at_ == text_.size() || text_[at_] != '"') return fail("a member's name is missing");
      auto& [name, member] = members.emplace_back();
      if (!string(name)) return false;
      if (!skip(':')) return fail("a colon is missing");
      if (!value(member, depth)) return false;
    } while (skip(','));
    if (!skip('}')) return fail("a comma or } is missing");
    out = std::move(members);
    return true;
  }

  bool string(std::string& out) {
    const size_t begin = ++at_;
    const size_t closing = closing_quote(text_, begin);
    if (closing == std::string_view::npos) return fail("a string does not end");
    out.reserve(closing - begin);
    while (true) {
      const size_t run = at_;
      while (at_ < closing && text_[at_] != '\\' && static_cast<unsigned char>(text_[at_]) >= 0x20)
        ++at_;
      out.append(text_, run, at_ - run);
      if (at_ == closing) break;
      if (text_[at_] != '\\') return fail("a string holds a control character");
      if (!escape(out)) return false;
    }
    at_ = closing + 1;
    return true;
  }

  bool escape(std::string& out) {
    const char c = text_[at_ + 1];  // there is one: the closing quote is still to come
    static constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    at_ += 2;
    if (const size_t known = kNames.find(c); known != std::string_view::npos) {
      out += kMeant[known];
      return true;
    }
    uint32_t code = 0;
    if (c != 'u' || !four_digits(code)) return fail("a string holds an unknown escape");
    if (code >= 0xD800 && code < 0xDC00) {
      uint32_t low = 0;
      if (!word("\\u") || !four_digits(low) || low < 0xDC00 || low > 0xDFFF)
        return fail("a string holds half a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      return fail("a string holds half a surrogate pair");
    }
    append_character(out, code);
    return true;
  }

  bool four_digits(uint32_t& code) {
    if (text_.size() - at_ < 4) return false;
    const char* begin = text_.data() + at_;
    at_ += 4;
    const auto [end, error] = std::from_chars(begin, begin + 4, code, 16);
    return error == std::errc() && end == begin + 4;
  }

  bool other(Json& out) {
    switch (text_[at_]) {
      case 'n':
        return word("null") || fail("a value is missing");
      case 't':
        out = true;
        return word("true") || fail("a value is missing");
      case 'f':
        out = false;
        return word("false") || fail("a value is missing");
      default:
        return number(out);
    }
  }

  size_t digits(size_t at) const {
    while (at < text_.size() && is_digit(text_[at])) ++at;
    return at;
  }

  bool number(Json& out) {
    const size_t begin = at_;
    size_t end = begin + (text_[begin] == '-');
    const size_t first = end;
    end = digits(end);
    if (end == first) return fail("a value is missing");
    if (text_[first] == '0' && end > first + 1) return fail("a number begins with 0");
    bool is_integer = true;
    if (end < text_.size() && text_[end] == '.') {
      is_integer = false;
      const size_t fraction = end + 1;
      end = digits(fraction);
      if (end == fraction) return fail("a number ends with its point");
    }
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      is_integer = false;
      size_t exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      end = digits(exponent);
      if (end == exponent) return fail("a number has an empty exponent");
    }
    at_ = end;
    const std::string_view text = text_.substr(begin, end - begin);
    return (is_integer && integer(out, text)) || real(out, text);
  }

  // False where 64 bits are too few.
  static bool integer(Json& out, std::string_view text) {
    const char* end = text.data() + text.size();
    int64_t value = 0;
    if (std::from_chars(text.data(), end, value).ec == std::errc()) {
      out = value;
      return true;
    }
    uint64_t large = 0;
    if (text[0] == '-' || std::from_chars(text.data(), end, large).ec != std::errc()) return false;
    out = large;
    return true;
  }

  bool real(Json& out, std::string_view text) {
    double value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc()) value = std::strtod(std::string(text).c_str(), nullptr);
    if (std::isinf(value)) return fail("a number is too large for a double");
    out = value;
    return true;
  }

  const std::string_view text_;
  const int max_depth_;
  size_t at_ = 0;
  std::vector<uint32_t> counts_;
  size_t next_count_ = 0;
  bool too_deep_ = false;
  const char* failure_ = nullptr;
};

}  // namespace

Result<Json> Json::parse(std::string_view text, int max_depth) {
  return Parser(text, max_depth).parse();
}

size_t Json::parsing_cost(std::string_view text) {
  CostCounter counter;
  outline(text, counter);
  return counter.bytes + sizeof(Json);
}

}  // namespace erne
