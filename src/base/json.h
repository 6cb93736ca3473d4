// An ordered JSON value of 16 bytes, and the strict parser that makes one of a text. What a text
// costs as a value can be asked before any of it is built, so that whoever reads a stranger's text
// can refuse it first; building then takes that much and no more.
//
// Writing gives the shortest doubles that read back equal; NaN and infinities become null, and
// bytes that are not UTF-8 become U+FFFD, so that no reply can be invalid JSON; U+2028 and U+2029,
// which end a line for some readers of event streams, are escaped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace erne {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in the order of the text

  Json() {}  // null
  Json(std::nullptr_t) {}
  Json(bool v) : type_(Type::kBool) { payload_.boolean = v; }
  Json(int v) : Json(static_cast<int64_t>(v)) {}
  Json(int64_t v) : type_(Type::kSigned) { payload_.integer = v; }
  Json(uint64_t v) : type_(Type::kUnsigned) { payload_.unsigned_integer = v; }
  Json(double v) : type_(Type::kDouble) { payload_.number = v; }
  Json(const char* v) : Json(std::string(v)) {}
  Json(std::string_view v) : Json(std::string(v)) {}
  Json(std::string v);
  Json(Array v);
  Json(Object v);
  Json(const Json& other);
  Json(Json&& other) noexcept { swap(other); }
  Json& operator=(Json other) noexcept {
    swap(other);
    return *this;
  }
  ~Json() { destroy(); }

  // A text that is JSON already: only written, as it is. No other type, and equal to nothing read.
  static Json written(std::string text);

  // Strict (RFC 8259). Refuses more than `max_depth` levels of nesting, so that nothing recursive
  // over a value (the parser, dump, the destructor) goes deeper. Time is linear in the text.
  // Integers beyond 64 bits become doubles.
  static Result<Json> parse(std::string_view text, int max_depth = kMaxDepth);
  static constexpr int kMaxDepth = 64;
  // The most bytes of memory that parse() of this text takes, the text not counted: found by
  // counting, without taking any. Exact within a few per cent for a valid text.
  static size_t parsing_cost(std::string_view text);

  bool is_null() const { return type_ == Type::kNull; }
  bool is_bool() const { return type_ == Type::kBool; }
  // A whole number from -2^63 to 2^64 - 1, however it is written: 4, 4.0 and 4e0 are one.
  bool is_integer() const;
  bool is_number() const { return type_ >= Type::kSigned && type_ <= Type::kDouble; }
  bool is_string() const { return type_ == Type::kString; }
  bool is_array() const { return type_ == Type::kArray; }
  bool is_object() const { return type_ == Type::kObject; }
  const char* type_name() const;  // "null", "boolean", "integer", "number", "string", ...

  // Each CHECKs the type: ask first.
  bool as_bool() const;
  int64_t as_int() const;    // an integer; one beyond the range is clamped to the maximum
  uint64_t as_bits() const;  // an integer modulo 2^64
  double as_double() const;  // any number
  const std::string& as_string() const;
  const Array& as_array() const;
  Array& as_array();
  const Object& as_object() const;
  Object& as_object();

  // The member's value; the last one where a key is repeated; nullptr where there is none or this
  // is no object.
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key);
  // Adds or replaces a member of an object (a null becomes an empty object first).
  Json& set(std::string key, Json value);

  // Values in here, this one included, and the bytes of their strings and names.
  size_t num_values() const;
  size_t num_text_bytes() const;

  std::string dump() const;  // compact: no spaces, one line
  void dump_to(std::string& out) const;
  bool operator==(const Json& other) const;

 private:
  enum class Type : uint8_t {
    kNull,
    kBool,
    kSigned,
    kUnsigned,
    kDouble,
    kString,
    kArray,
    kObject,
    kWritten
  };

  void swap(Json& other) noexcept {
    std::swap(type_, other.type_);
    std::swap(payload_, other.payload_);
  }
  void destroy() noexcept;

  Type type_ = Type::kNull;
  // Empty strings, arrays and objects own nothing and are null pointers.
  union Payload {
    bool boolean;
    int64_t integer = 0;
    uint64_t unsigned_integer;
    double number;
    std::string* text;  // of kString and kWritten
    Array* array;
    Object* object;
  } payload_;
};
static_assert(sizeof(Json) == 16);

// Appends `text` as a JSON string literal, quotes included.
void append_json_string(std::string& out, std::string_view text);

}  // namespace erne
