#include "base/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/utf8.h"

namespace erne {
namespace {

constexpr std::string_view kLineSeparator = "\u2028", kParagraphSeparator = "\u2029";

void dump_double(std::string& out, double v) {
  if (!std::isfinite(v)) {
    out += "null";
    return;
  }
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), v).ptr;
  const std::string_view text(buffer, end - buffer);
  out += text;
  // A double stays a double for readers that tell them apart.
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

template <class Int>
void dump_integer(std::string& out, Int v) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof(buffer), v).ptr);
}

void dump_array(std::string& out, const Json::Array& array) {
  out += '[';
  const char* comma = "";
  for (const Json& child : array) {
    out += comma;
    child.dump_to(out);
    comma = ",";
  }
  out += ']';
}

void dump_object(std::string& out, const Json::Object& object) {
  out += '{';
  const char* comma = "";
  for (const auto& [key, child] : object) {
    out += comma;
    append_json_string(out, key);
    out += ':';
    child.dump_to(out);
    comma = ",";
  }
  out += '}';
}

// What stands for the null pointer of an empty value.
template <class T>
const T& value_or_empty(const T* value) {
  static const T kEmpty;
  return value == nullptr ? kEmpty : *value;
}

template <class T>
T* copy_of(const T* value) {
  return value == nullptr ? nullptr : new T(*value);
}

template <class T>
T* owned(T value) {
  return value.empty() ? nullptr : new T(std::move(value));
}

}  // namespace

Json::Json(std::string v) : type_(Type::kString) {
  payload_.text = owned(std::move(v));
}

Json::Json(Array v) : type_(Type::kArray) {
  payload_.array = owned(std::move(v));
}

Json::Json(Object v) : type_(Type::kObject) {
  payload_.object = owned(std::move(v));
}

Json Json::written(std::string text) {
  Json json(std::move(text));
  json.type_ = Type::kWritten;
  return json;
}

// Where memory runs out in here, nothing has been made yet that would have to be undone.
Json::Json(const Json& other) : type_(other.type_), payload_(other.payload_) {
  switch (type_) {
    case Type::kString:
    case Type::kWritten:
      payload_.text = copy_of(other.payload_.text);
      break;
    case Type::kArray:
      payload_.array = copy_of(other.payload_.array);
      break;
    case Type::kObject:
      payload_.object = copy_of(other.payload_.object);
      break;
    default:
      break;
  }
}

void Json::destroy() noexcept {
  switch (type_) {
    case Type::kString:
    case Type::kWritten:
      delete payload_.text;
      break;
    case Type::kArray:
      delete payload_.array;
      break;
    case Type::kObject:
      delete payload_.object;
      break;
    default:
      break;
  }
}

const char* Json::type_name() const {
  static constexpr const char* kNames[] = {"null",   "boolean", "integer", "integer", "number",
                                           "string", "array",   "object",  "written"};
  return kNames[static_cast<size_t>(type_)];
}

bool Json::as_bool() const {
  CHECK(is_bool());
  return payload_.boolean;
}

bool Json::is_integer() const {
  if (type_ != Type::kDouble) return is_number();
  const double v = payload_.number;
  return v >= -0x1p63 && v < 0x1p64 && v == std::floor(v);
}

int64_t Json::as_int() const {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  const bool is_negative = (type_ == Type::kSigned && payload_.integer < 0) ||
                           (type_ == Type::kDouble && payload_.number < 0);
  return static_cast<int64_t>(is_negative ? as_bits() : std::min(as_bits(), kMax));
}

uint64_t Json::as_bits() const {
  CHECK(is_integer());
  if (type_ == Type::kSigned) return static_cast<uint64_t>(payload_.integer);
  if (type_ == Type::kUnsigned) return payload_.unsigned_integer;
  const double v = payload_.number;
  return v < 0 ? static_cast<uint64_t>(static_cast<int64_t>(v)) : static_cast<uint64_t>(v);
}

double Json::as_double() const {
  CHECK(is_number());
  if (type_ == Type::kDouble) return payload_.number;
  return type_ == Type::kSigned ? static_cast<double>(payload_.integer)
                                : static_cast<double>(payload_.unsigned_integer);
}

const std::string& Json::as_string() const {
  CHECK(is_string());
  return value_or_empty(payload_.text);
}

const Json::Array& Json::as_array() const {
  CHECK(is_array());
  return value_or_empty(payload_.array);
}

Json::Array& Json::as_array() {
  CHECK(is_array());
  if (payload_.array == nullptr) payload_.array = new Array();
  return *payload_.array;
}

const Json::Object& Json::as_object() const {
  CHECK(is_object());
  return value_or_empty(payload_.object);
}

Json::Object& Json::as_object() {
  CHECK(is_object());
  if (payload_.object == nullptr) payload_.object = new Object();
  return *payload_.object;
}

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  const Object& object = as_object();
  for (auto it = object.rbegin(); it != object.rend(); ++it)
    if (it->first == key) return &it->second;
  return nullptr;
}

Json* Json::find(std::string_view key) {
  return const_cast<Json*>(std::as_const(*this).find(key));
}

Json& Json::set(std::string key, Json value) {
  if (is_null()) *this = Object();
  for (auto& [name, old] : as_object())
    if (name == key) {
      old = std::move(value);
      return *this;
    }
  as_object().emplace_back(std::move(key), std::move(value));
  return *this;
}

size_t Json::num_values() const {
  size_t count = 1;
  if (is_array())
    for (const Json& child : as_array()) count += child.num_values();
  if (is_object())
    for (const auto& [_, child] : as_object()) count += child.num_values();
  return count;
}

size_t Json::num_text_bytes() const {
  if (is_string()) return as_string().size();
  size_t count = 0;
  if (is_array())
    for (const Json& child : as_array()) count += child.num_text_bytes();
  if (is_object())
    for (const auto& [name, child] : as_object()) count += name.size() + child.num_text_bytes();
  return count;
}

bool Json::operator==(const Json& other) const {
  if (type_ != other.type_) return false;
  switch (type_) {
    case Type::kNull:
      return true;
    case Type::kBool:
      return payload_.boolean == other.payload_.boolean;
    case Type::kSigned:
      return payload_.integer == other.payload_.integer;
    case Type::kUnsigned:
      return payload_.unsigned_integer == other.payload_.unsigned_integer;
    case Type::kDouble:
      return payload_.number == other.payload_.number;
    case Type::kString:
    case Type::kWritten:
      return value_or_empty(payload_.text) == value_or_empty(other.payload_.text);
    case Type::kArray:
      return as_array() == other.as_array();
    case Type::kObject:
      return as_object() == other.as_object();
  }
  return false;
}

std::string Json::dump() const {
  std::string out;
  dump_to(out);
  return out;
}

void Json::dump_to(std::string& out) const {
  switch (type_) {
    case Type::kNull:
      out += "null";
      break;
    case Type::kBool:
      out += payload_.boolean ? "true" : "false";
      break;
    case Type::kSigned:
      dump_integer(out, payload_.integer);
      break;
    case Type::kUnsigned:
      dump_integer(out, payload_.unsigned_integer);
      break;
    case Type::kDouble:
      dump_double(out, payload_.number);
      break;
    case Type::kString:
      append_json_string(out, as_string());
      break;
    case Type::kArray:
      dump_array(out, as_array());
      break;
    case Type::kObject:
      dump_object(out, as_object());
      break;
    case Type::kWritten:
      out += value_or_empty(payload_.text);
      break;
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (!step.valid) {
      out += kReplacementCharacter;
    } else if (const auto character = text.substr(0, step.length); character == kLineSeparator) {
      out += "\\u2028";
    } else if (character == kParagraphSeparator) {
      out += "\\u2029";
    } else if (step.length > 1) {
      out += character;
    } else {
      const char c = text[0];
      switch (c) {
        case '"':
          out += "\\\"";
          break;
        case '\\':
          out += "\\\\";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        default:
          if (static_cast<unsigned char>(c) < 0x20) {
            static constexpr char kHex[] = "0123456789abcdef";
            out += "\\u00";
            out += kHex[(c >> 4) & 15];
            out += kHex[c & 15];
          } else {
            out += c;
          }
      }
    }
    text.remove_prefix(step.length);
  }
  out += '"';
}

}  // namespace erne
