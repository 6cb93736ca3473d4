#include "base/json.h"

#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "base/utf8.h"

namespace erne {
namespace {

Json convert(const simdjson::dom::element& element) {
  using simdjson::dom::element_type;
  switch (element.type()) {
    case element_type::NULL_VALUE:
      return Json();
    case element_type::BOOL:
      return Json(element.get_bool().value_unsafe());
    case element_type::INT64:
      return Json(element.get_int64().value_unsafe());
    case element_type::UINT64:
      return Json(element.get_uint64().value_unsafe());
    case element_type::DOUBLE:
      return Json(element.get_double().value_unsafe());
    case element_type::STRING:
      return Json(element.get_string().value_unsafe());
    case element_type::ARRAY: {
      const simdjson::dom::array array = element.get_array().value_unsafe();
      Json::Array out;
      out.reserve(array.size());
      for (const simdjson::dom::element child : array) out.push_back(convert(child));
      return Json(std::move(out));
    }
    case element_type::OBJECT: {
      const simdjson::dom::object object = element.get_object().value_unsafe();
      Json::Object out;
      out.reserve(object.size());
      for (const auto& field : object) out.emplace_back(field.key, convert(field.value));
      return Json(std::move(out));
    }
  }
  return Json();
}

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

}  // namespace

Result<Json> Json::parse(std::string_view text, int max_depth) {
  simdjson::dom::parser parser;
  if (parser.allocate(std::max<size_t>(text.size(), 32), max_depth) != simdjson::SUCCESS)
    return invalid("JSON text is too large");
  simdjson::dom::element root;
  // The copy gives simdjson the padding it needs.
  const auto error = parser.parse(simdjson::padded_string(text)).get(root);
  if (error == simdjson::DEPTH_ERROR)
    return invalid("JSON is nested deeper than " + std::to_string(max_depth) + " levels");
  if (error) return invalid(std::string("not valid JSON: ") + simdjson::error_message(error));
  return convert(root);
}

const char* Json::type_name() const {
  static constexpr const char* kNames[] = {"null",   "boolean", "integer", "integer",
                                           "number", "string",  "array",   "object"};
  return kNames[value_.index()];
}

int64_t Json::as_int() const {
  if (is_signed()) return get<int64_t>();
  const uint64_t v = get<uint64_t>();
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(v < kMax ? v : kMax);
}

double Json::as_double() const {
  if (std::holds_alternative<double>(value_)) return get<double>();
  return is_signed() ? static_cast<double>(get<int64_t>()) : static_cast<double>(get<uint64_t>());
}

const Json* Json::find(std::string_view key) const {
  const Object* object = std::get_if<Object>(&value_);
  if (object == nullptr) return nullptr;
  for (auto it = object->rbegin(); it != object->rend(); ++it)
    if (it->first == key) return &it->second;
  return nullptr;
}

Json& Json::set(std::string key, Json value) {
  if (is_null()) value_ = Object();
  for (auto& [name, old] : as_object())
    if (name == key) {
      old = std::move(value);
      return *this;
    }
  as_object().emplace_back(std::move(key), std::move(value));
  return *this;
}

std::string Json::dump() const {
  std::string out;
  dump_to(out);
  return out;
}

void Json::dump_to(std::string& out) const {
  switch (value_.index()) {
    case 0:
      out += "null";
      break;
    case 1:
      out += as_bool() ? "true" : "false";
      break;
    case 2:
      dump_integer(out, std::get<int64_t>(value_));
      break;
    case 3:
      dump_integer(out, std::get<uint64_t>(value_));
      break;
    case 4:
      dump_double(out, std::get<double>(value_));
      break;
    case 5:
      append_json_string(out, as_string());
      break;
    case 6: {
      out += '[';
      const char* comma = "";
      for (const Json& child : as_array()) {
        out += comma;
        child.dump_to(out);
        comma = ",";
      }
      out += ']';
      break;
    }
    case 7: {
      out += '{';
      const char* comma = "";
      for (const auto& [key, child] : as_object()) {
        out += comma;
        append_json_string(out, key);
        out += ':';
        child.dump_to(out);
        comma = ",";
      }
      out += '}';
      break;
    }
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (!step.valid) {
      out += kReplacementCharacter;
    } else if (step.length > 1) {
      out += text.substr(0, step.length);
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
