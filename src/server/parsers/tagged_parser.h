// Tells apart what ERNIE's models write: thoughts, an answer, calls of tools, each between tags
// (docs/ernie-models.md, 7.2):
//
//   thought </think> answer
//   thought </think> <response> answer </response>
//   thought </think> <tool_call> {"name": ..., "arguments": {...}} </tool_call> <tool_call> ...
//
// The opening <think> stands in the prompt; a model that writes it again is not taken at its word.
// Tags may be cut anywhere: what comes out, joined, is the same. Nothing but white space between
// the parts is lost: a call that is none comes out as content, from its <tool_call> on or, where
// its name and the beginning of its arguments are told already, from the byte on that is wrong.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "server/delta_parser.h"
#include "server/parsers/tag_style.h"
#include "server/parsers/tool_call_reader.h"

namespace erne::server {

class TaggedParser final : public DeltaParser {
 public:
  // `thinking`: the prompt ends in a thought. `make_id` names a call.
  TaggedParser(TagStyle style, bool thinking, std::function<std::string()> make_id);

  Delta push(std::string_view text) override;
  Delta finish() override;
  bool thinking() const override;

 private:
  enum class State {
    kBeforeThought,  // nothing yet
    kThought,
    kBetween,   // behind a thought or a call: white space so far
    kResponse,  // in <response>
    kAnswer,    // all is content
    kCall,
  };

  // Takes some of text_ that is certain; false: it depends on what follows.
  bool take(Delta& out);
  bool take_opening();
  bool take_until(std::string_view tag, State next, std::string& to);
  bool take_between(Delta& out);
  bool take_call(Delta& out);
  void tell_call(Delta& out);
  void leave_call(Delta& out);

  const TagStyle style_;
  const std::function<std::string()> make_id_;
  State state_;
  std::string text_;   // not taken yet
  std::string blank_;  // white space that is content if an answer follows
  bool calls_allowed_;
  std::optional<ToolCallReader> call_;
  std::string call_text_;  // of a call that is not told yet, for the case that it is none
  bool call_told_ = false;
  int num_calls_ = 0;
};

}  // namespace erne::server
