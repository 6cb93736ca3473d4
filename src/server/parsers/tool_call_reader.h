// Reads one call of a tool while the model writes it: {"name": "...", "arguments": {...}}, in any
// order of the members. Its arguments come out as they are written, from the moment on that the
// name is known. Outermost braces that the model left out are thought of as there; arguments that
// it wrote as a string, as some do, are what the string says; none are {}.
#pragma once

#include <string>
#include <string_view>

#include "base/json_scanner.h"

namespace erne::server {

class ToolCallReader {
 public:
  // False: this is no call; nothing more may be pushed.
  bool push(char c);
  // The text ends here, or the call's closing mark stands here. False: no call was complete.
  bool finish();

  // In a string's text, where no mark ends the call.
  bool in_string() const { return json_.in_string(); }
  // Whether the name is known and the arguments have begun: then this is told as a call.
  bool begun() const { return has_name_ && has_arguments_; }
  const std::string& name() const { return name_; }  // once begun
  // What the arguments gained since the last call of this.
  std::string take_arguments();

 private:
  bool take_member(char c);
  bool end_member();

  JsonScanner json_;
  std::string key_, value_;  // of the member under way, as written; not that of arguments
  std::string name_, arguments_;
  bool started_ = false;  // the first brace is there
  bool has_name_ = false, has_arguments_ = false;
};

}  // namespace erne::server
