// From a chat's messages to the model's prompt. Text that a client sends (contents, names, roles,
// tool descriptions and arguments, template variables) never becomes a special token, however it is
// cut, joined or disguised: special tokens in the prompt are those the template itself writes.
//
// How: the template is compiled with its special tokens replaced by private characters
// (SpecialMarks), and the named tokens it is given are these characters; the same ones in what the
// client sends are escaped first. After rendering, marks alone become special tokens; everything
// else is text.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "text/chat_template.h"
#include "text/special_marks.h"
#include "text/tokenizer.h"

namespace erne::text {

struct RenderedChat {
  std::string text;  // as the template writes it, special tokens as their texts
  std::vector<TokenId> ids;
};

// What ERNIE's templates write behind a finished answer, as far as the tokenizer has it: a model
// that says one of these has finished, whatever else its configuration names as its end
// (docs/ernie-models.md, 7.2).
std::vector<TokenId> turn_ends(const Tokenizer& tokenizer);

class ChatPrompt {
 public:
  // kNotFound: the checkpoint has no chat template. kUnsupported: one that puts special tokens
  // together from pieces, so that they cannot be told from text. `tokenizer` outlives this.
  static Result<ChatPrompt> load(const std::filesystem::path& model_dir,
                                 const Tokenizer& tokenizer);
  static Result<ChatPrompt> create(const ChatTemplateSource& source, const Tokenizer& tokenizer);

  // Renders the template, then encodes. A message's content is a string, null or absent (an empty
  // string), or a list of parts such as {"type": "text", "text": ...}; where the template knows
  // strings only, text parts are joined and others refused (kUnsupported), and so are tools where
  // it has no place for them. `tools`: null or an array.
  // kTooLong, kCancelled: as Tokenizer::encode_within; what certainly has too many tokens is not
  // encoded at all.
  Result<RenderedChat> render(const Json& messages, const Json& tools, const Json& variables,
                              const EncodeLimits& limits = {}) const;

 private:
  ChatPrompt(SpecialMarks marks, ChatTemplate marked)
      : marks_(std::move(marks)), template_(std::move(marked)) {}

  Result<bool> walks_through_parts() const;
  Result<bool> tells_of_tools() const;
  Result<void> check_marks(const ChatTemplate& unmarked, const Tokenizer& tokenizer) const;
  Result<Json> prepared_content(const Json* content, const std::string& where) const;
  static void read_arguments(Json& message);
  Result<Json> prepared(const Json& messages) const;

  SpecialMarks marks_;
  ChatTemplate template_;  // with marks for special tokens
  bool takes_parts_ = false;
  bool takes_tools_ = false;
};

}  // namespace erne::text
