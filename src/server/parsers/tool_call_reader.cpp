#include "server/parsers/tool_call_reader.h"

#include <utility>

#include "base/json.h"

namespace erne::server {
namespace {

constexpr std::string_view kName = "\"name\"", kArguments = "\"arguments\"";
constexpr std::string_view kNoArguments = "{}";
constexpr size_t kMaxHeldBytes = 64 << 10;  // of a member's text that is kept until it is complete

}  // namespace

bool ToolCallReader::push(char c) {
  if (!started_ && c == '"') json_.push('{');
  started_ = started_ || c == '"' || c == '{';
  if (!json_.push(c)) return false;
  using Part = JsonScanner::Part;
  switch (json_.part()) {
    case Part::kKey:
      key_ += c;
      return key_.size() <= kMaxHeldBytes;
    case Part::kValue:
      return take_member(c);
    case Part::kAround:
      return (c != ',' && c != '}') || end_member();
  }
  return false;
}

bool ToolCallReader::take_member(char c) {
  const bool begins = value_.empty();
  if (key_ == kArguments && (begins ? c == '{' : value_ == "{")) {
    if (begins) {
      if (std::exchange(has_arguments_, true)) return false;  // twice
      value_ = "{";
    }
    arguments_ += c;
    return has_name_ || arguments_.size() <= kMaxHeldBytes;
  }
  value_ += c;
  return value_.size() <= kMaxHeldBytes;
}

// Behind a member's value.
bool ToolCallReader::end_member() {
  const std::string key = std::exchange(key_, {}), value = std::exchange(value_, {});
  if (key == kName) {
    const Result<Json> name = Json::parse(value);
    if (has_name_ || !name.ok() || !name->is_string() || name->as_string().empty()) return false;
    name_ = name->as_string();
    has_name_ = true;
    return true;
  }
  if (key != kArguments || value == "{") return true;
  // Arguments that are no object.
  const Result<Json> written = Json::parse(value);
  if (has_arguments_ || !written.ok()) return false;
  if (written->is_null()) {
    arguments_ = kNoArguments;
  } else {
    if (!written->is_string()) return false;
    const Result<Json> read = Json::parse(written->as_string());
    if (!read.ok() || !read->is_object()) return false;
    arguments_ = written->as_string();
  }
  has_arguments_ = true;
  return true;
}

bool ToolCallReader::finish() {
  if (!json_.complete()) {
    if (!json_.lacks_brace() || !json_.push('}') || !end_member()) return false;
  }
  if (!has_name_) return false;
  if (!has_arguments_) arguments_ = kNoArguments;
  has_arguments_ = true;
  return true;
}

std::string ToolCallReader::take_arguments() {
  return begun() ? std::exchange(arguments_, {}) : std::string();
}

}  // namespace erne::server
