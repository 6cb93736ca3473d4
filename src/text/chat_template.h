// The checkpoint's own Jinja chat template, run by minijinja (rust/) with the settings and
// additions that Hugging Face's apply_chat_template gives it: trimmed blocks, tojson that escapes
// nothing, raise_exception, strftime_now, Python's string methods. A template is a stranger's
// program: its size, memory, stack, time, steps and output are bounded (rust/src/chat_template.rs),
// whatever it does. Nothing a client sends is ever compiled.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

struct erne_template;

namespace erne::text {

// The texts of a checkpoint's templates.
struct ChatTemplateSource {
  std::string text;
  std::string
      with_tools;  // a second one for requests with tools ("tool_use"); empty: `text` serves all

  // chat_template.jinja, else chat_template.json, else tokenizer_config.json's chat_template, a
  // text or a list of named ones. kNotFound: the checkpoint has none.
  static Result<ChatTemplateSource> load(const std::filesystem::path& model_dir);
};

class ChatTemplate {
 public:
  // `globals`: the named tokens, {"bos_token": "<s>", ...}. kInvalid: a syntax error, with its
  // line.
  static Result<ChatTemplate> compile(const ChatTemplateSource& source, Json::Object globals);
  // From a checkpoint's folder, with its named tokens.
  static Result<ChatTemplate> load(const std::filesystem::path& model_dir);

  // `messages` is an array, `tools` an array or null, `variables` an object or null with what else
  // the template may ask for (add_generation_prompt, enable_thinking, ...); a variable that would
  // hide messages, tools or a named token is refused. kInvalid: the template refuses (its own
  // sentence) or fails (why is in the log, never in the message).
  Result<std::string> render(const Json& messages, const Json& tools, const Json& variables) const;
  // For finding out what a template can do: nothing where it refuses or fails, and no line in the
  // log. kTooLong: a limit ended it.
  Result<std::optional<std::string>> try_render(const Json& messages, const Json& tools = {}) const;

 private:
  struct Free {
    void operator()(erne_template* compiled) const;
  };
  using Compiled = std::unique_ptr<erne_template, Free>;
  ChatTemplate() = default;
  static Result<Compiled> compile_text(std::string_view marked);
  const erne_template* compiled_for(const Json& tools) const;
  Result<Json> context(const Json& messages, const Json& tools, const Json& variables) const;

  Compiled plain_;
  Compiled with_tools_;  // may be null
  Json::Object globals_;
};

}  // namespace erne::text
