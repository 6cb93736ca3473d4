// An ordered JSON value. Parsing is simdjson's (exact doubles, bad UTF-8, depth and trailing bytes
// refused); writing is ours (shortest doubles that read back equal; NaN and infinities become null;
// bytes that are not UTF-8 become U+FFFD, so that no reply can be invalid JSON).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace erne {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in the order of the text

  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool v) : value_(v) {}
  Json(int v) : value_(static_cast<int64_t>(v)) {}
  Json(int64_t v) : value_(v) {}
  Json(uint64_t v) : value_(v) {}
  Json(double v) : value_(v) {}
  Json(const char* v) : value_(std::string(v)) {}
  Json(std::string_view v) : value_(std::string(v)) {}
  Json(std::string v) : value_(std::move(v)) {}
  Json(Array v) : value_(std::move(v)) {}
  Json(Object v) : value_(std::move(v)) {}

  // Refuses more than `max_depth` levels of nesting. Time and memory are linear in the text.
  static Result<Json> parse(std::string_view text, int max_depth = 64);

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return is_signed() || std::holds_alternative<uint64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  const char* type_name() const;  // "null", "boolean", "integer", "number", "string", ...

  // Each CHECKs the type: ask first.
  bool as_bool() const { return get<bool>(); }
  int64_t as_int() const;    // an unsigned value beyond the range is clamped to the maximum
  double as_double() const;  // any number
  const std::string& as_string() const { return get<std::string>(); }
  const Array& as_array() const { return get<Array>(); }
  Array& as_array() { return const_cast<Array&>(get<Array>()); }
  const Object& as_object() const { return get<Object>(); }
  Object& as_object() { return const_cast<Object&>(get<Object>()); }

  // The member's value; the last one where a key is repeated; nullptr where there is none or this
  // is no object.
  const Json* find(std::string_view key) const;
  // Adds or replaces a member of an object (a null becomes an empty object first).
  Json& set(std::string key, Json value);

  std::string dump() const;  // compact: no spaces, one line
  void dump_to(std::string& out) const;
  bool operator==(const Json&) const = default;

 private:
  template <class T>
  const T& get() const {
    CHECK(std::holds_alternative<T>(value_));
    return *std::get_if<T>(&value_);
  }
  bool is_signed() const { return std::holds_alternative<int64_t>(value_); }

  std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
};

// Appends `text` as a JSON string literal, quotes included.
void append_json_string(std::string& out, std::string_view text);

}  // namespace erne
