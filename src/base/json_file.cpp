#include "base/json_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <unordered_map>

#include "base/utf8.h"

namespace erne {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kUtf8Mark = "\xEF\xBB\xBF";
constexpr std::string_view kBlanks = " \t\r\n\0"sv;
constexpr std::string_view kNumberCharacters = "+-.0123456789eE";
constexpr size_t kMaxValues = 4'000'000;  // a vocabulary of 100,000 and its merges are a million
constexpr size_t kScannedKeys = 8;        // up to so many, looking at each is quicker than a table

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// A double for what fits no integer of 64 bits.
Json number_of(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: up to here doubles hold every integer
  const bool is_integral = std::nearbyint(value) == value && std::fabs(value) <= kExact;
  return is_integral ? Json(static_cast<int64_t>(value)) : Json(value);
}

class FileParser {
 public:
  FileParser(std::string_view text, int max_depth) : text_(text), max_depth_(max_depth) {}

  Result<Json> parse() {
    Json value = TRY(parse_value(0));
    skip_blanks();
    if (at_ < text_.size()) return wrong("text behind the end of the value");
    return value;
  }

 private:
  Status wrong(const std::string& what) const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const size_t start = before.rfind('\n') + 1;  // npos + 1 is 0
    return invalid(
        fmt::format("not valid JSON: line {}, column {}: {}", line, at_ - start + 1, what));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_blanks() { at_ = std::min(text_.find_first_not_of(kBlanks, at_), text_.size()); }

  Result<Json> parse_value(int depth) {
    skip_blanks();
    if (at_ == text_.size()) return wrong("expected a value, found the end of the text");
    if (++num_values_ > kMaxValues) return wrong(fmt::format("more than {} values", kMaxValues));
    if (depth == max_depth_ && (peek() == '[' || peek() == '{'))
      return wrong(fmt::format("nested deeper than {} levels", max_depth_));
    if (take('[')) return parse_array(depth + 1);
    if (take('{')) return parse_object(depth + 1);
    if (take('"')) return Json(TRY(parse_string()));
    const bool is_word = is_letter(peek()) || (peek() == '-' && is_letter(next()));
    return is_word ? parse_word() : parse_number();
  }
  char next() const { return at_ + 1 < text_.size() ? text_[at_ + 1] : '\0'; }

  Result<Json> parse_array(int depth) {
    Json::Array out;
    skip_blanks();
    if (take(']')) return Json(std::move(out));
    while (true) {
      out.push_back(TRY(parse_value(depth)));
      skip_blanks();
      if (take(']')) return Json(std::move(out));
      if (!take(',')) return wrong("expected a comma or ] in a list");
    }
  }

  Result<Json> parse_object(int depth) {
    Json::Object out;
    std::unordered_map<std::string, size_t> place;  // of each key, once there are many
    skip_blanks();
    if (take('}')) return Json(std::move(out));
    while (true) {
      skip_blanks();
      if (!take('"')) return wrong("expected a name in quotes");
      std::string key = TRY(parse_string());
      skip_blanks();
      if (!take(':')) return wrong("expected a colon behind a name");
      set(out, place, std::move(key), TRY(parse_value(depth)));
      skip_blanks();
      if (take('}')) return Json(std::move(out));
      if (!take(',')) return wrong("expected a comma or } in an object");
    }
  }

  static void set(Json::Object& out, std::unordered_map<std::string, size_t>& place,
                  std::string key, Json value) {
    if (out.size() < kScannedKeys) {
      for (auto& [name, old] : out)
        if (name == key) {
          old = std::move(value);
          return;
        }
    } else {
      if (place.empty())
        for (size_t i = 0; i < out.size(); ++i) place.emplace(out[i].first, i);
      const auto [known, is_new] = place.try_emplace(key, out.size());
      if (!is_new) {
        out[known->second].second = std::move(value);
        return;
      }
    }
    out.emplace_back(std::move(key), std::move(value));
  }

  Result<Json> parse_word() {
    const bool is_negative = take('-');
    const size_t start = at_;
    while (is_letter(peek())) ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    if (word == "NaN") return Json(std::numeric_limits<double>::quiet_NaN());
    if (word == "Infinity") {
      const double infinity = std::numeric_limits<double>::infinity();
      return Json(is_negative ? -infinity : infinity);
    }
    if (!is_negative && word == "null") return Json();
    if (!is_negative && word == "true") return Json(true);
    if (!is_negative && word == "false") return Json(false);
    at_ = start;
    return wrong("expected a value");
  }

  Result<Json> parse_number() {
    const size_t end = std::min(text_.find_first_not_of(kNumberCharacters, at_), text_.size());
    const std::string_view number = text_.substr(at_, end - at_);
    const char* last = number.data() + number.size();
    int64_t integer = 0;
    const auto whole = std::from_chars(number.data(), last, integer);
    uint64_t positive = 0;
    const auto long_whole = std::from_chars(number.data(), last, positive);
    double value = 0;
    const auto real = std::from_chars(number.data(), last, value);
    if (number.empty() || real.ptr != last || number.front() == '.' || number.back() == '.')
      return wrong(number.empty() ? "expected a value" : "not a number");
    at_ = end;
    if (whole.ec == std::errc() && whole.ptr == last) return Json(integer);
    if (long_whole.ec == std::errc() && long_whole.ptr == last) return Json(positive);
    if (real.ec == std::errc::result_out_of_range) return Json(beyond_double(number));
    return number_of(value);
  }

  // from_chars says only that it is too large or too small.
  static double beyond_double(std::string_view number) {
    return std::strtod(std::string(number).c_str(), nullptr);
  }

  Result<std::string> parse_string() {
    std::string out;
    while (true) {
      if (at_ == text_.size()) return wrong("a string without its closing quote");
      const std::string_view rest = text_.substr(at_);
      if (rest[0] == '"') {
        ++at_;
        return out;
      }
      if (rest[0] == '\\') {
        TRY(parse_escape(out));
        continue;
      }
      const Utf8Step step = utf8_step(rest);
      out += step.valid ? rest.substr(0, step.length) : kReplacementCharacter;
      at_ += step.length;
    }
  }

  Result<void> parse_escape(std::string& out) {
    ++at_;
    const char c = peek();
    if (c == 'u') {
      ++at_;
      return parse_code_unit(out);
    }
    static constexpr std::string_view kEscapes = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const size_t which = c == '\0' ? kEscapes.npos : kEscapes.find(c);
    if (which == kEscapes.npos) return wrong("an unknown escape in a string");
    ++at_;
    out += kMeanings[which];
    return {};
  }

  Result<void> parse_code_unit(std::string& out) {
    const auto unit = four_digits();
    if (!unit) return wrong("expected four hexadecimal digits behind \\u");
    at_ += 4;
    if (*unit < 0xD800 || *unit > 0xDFFF) {
      append_character(out, *unit);
      return {};
    }
    const bool is_pair = *unit < 0xDC00 && text_.substr(at_).starts_with("\\u");
    at_ += is_pair ? 2 : 0;
    const auto low = is_pair ? four_digits() : std::nullopt;
    if (low && *low >= 0xDC00 && *low <= 0xDFFF) {
      at_ += 4;
      append_character(out, 0x10000 + ((*unit - 0xD800) << 10 | (*low - 0xDC00)));
      return {};
    }
    at_ -= is_pair ? 2 : 0;  // what follows is no second half: it stands for itself
    out += kReplacementCharacter;
    return {};
  }

  std::optional<uint32_t> four_digits() const {
    const std::string_view digits = text_.substr(at_, 4);
    uint32_t value = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
    if (digits.size() != 4 || end != digits.data() + 4) return std::nullopt;
    return value;
  }

  std::string_view text_;
  int max_depth_;
  size_t at_ = 0;
  size_t num_values_ = 0;
};

}  // namespace

Result<std::string_view> without_byte_order_mark(std::string_view text) {
  if (text.starts_with(kUtf8Mark)) return text.substr(kUtf8Mark.size());
  for (const std::string_view mark : {"\0\0\xFE\xFF"sv, "\xFF\xFE"sv, "\xFE\xFF"sv})
    if (text.starts_with(mark)) return invalid("the text is in UTF-16 or UTF-32; save it as UTF-8");
  // UTF-16 without its mark: every other byte of ASCII is 0.
  const bool is_wide =
      text.size() >= 2 && (text[0] == '\0') != (text[1] == '\0') && !is_blank(text);
  if (is_wide) return invalid("the text looks like UTF-16; save it as UTF-8");
  return text;
}

bool is_blank(std::string_view text) {
  if (text.starts_with(kUtf8Mark)) text.remove_prefix(kUtf8Mark.size());
  return text.find_first_not_of(kBlanks) == text.npos;
}

Result<Json> parse_json_file(std::string_view text, int max_depth) {
  const std::string_view unmarked = TRY(without_byte_order_mark(text));
  if (is_blank(unmarked)) return invalid("the file is empty");
  return FileParser(unmarked, max_depth).parse();
}

}  // namespace erne
