// The place between detokenizer and stop matcher where a model's text is told apart: thoughts, the
// answer, calls of tools. One parser per choice, driven by its thread.
//
// This class is the parser of a model that only answers: all text is content. Others override both
// functions; they may hold text back until they know what it is. Stop strings end the content, and
// neither thoughts nor calls.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "server/delta.h"

namespace erne::server {

class DeltaParser {
 public:
  virtual ~DeltaParser() = default;

  // Text that follows what came before, cut anywhere between characters. Only reasoning, content
  // and tool_calls of the result are set.
  virtual Delta push(std::string_view text) {
    Delta delta;
    delta.content = text;
    return delta;
  }
  // The text ends here: what was held back comes out.
  virtual Delta finish() { return {}; }
  // Whether what comes next would be a thought.
  virtual bool thinking() const { return false; }
};

using MakeDeltaParser = std::function<std::unique_ptr<DeltaParser>()>;

}  // namespace erne::server
