// The fields about what is sent back: streaming, log-probabilities, token ids, the reply's names.
#include <fmt/format.h>

#include <algorithm>

#include "server/fields.h"

namespace erne::server {
namespace {

constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxRequestIdBytes = 128;

Result<void> read_model(const Arg& arg, GenerationRequest& r) {
  r.model = TRY(string(arg, kMaxNameBytes));
  return {};
}

Result<void> read_request_id(const Arg& arg, GenerationRequest& r) {
  r.request_id = TRY(string(arg, kMaxRequestIdBytes));
  const bool plain = std::all_of(r.request_id.begin(), r.request_id.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (!plain || r.request_id.empty())
    return arg.wrong("a string of letters, digits, '-', '_' and '.'");
  return {};
}

Result<void> read_stream(const Arg& arg, GenerationRequest& r) {
  r.stream = TRY(boolean(arg));
  return {};
}

Result<void> read_stream_options(const Arg& arg, GenerationRequest& r) {
  if (!arg.value.is_object()) return arg.wrong("an object");
  for (const auto& [key, value] : arg.value.as_object()) {
    const Arg option{arg.name + "." + key, value, arg.limits};
    if (value.is_null()) continue;
    if (key == "include_usage")
      r.include_usage = TRY(boolean(option));
    else if (key == "continuous_usage_stats")
      r.continuous_usage = TRY(boolean(option));
    else if (key == "include_obfuscation")
      TRY(boolean(option));  // padding against an eavesdropper: TLS in front is the place for it
    else
      return invalid(
          fmt::format("stream_options may have include_usage, continuous_usage_stats and "
                      "include_obfuscation, found \"{}\"",
                      key.substr(0, 40)),
          arg.name);
  }
  return {};
}

Result<int> num_alternatives(const Arg& arg) {
  return static_cast<int>(TRY(integer(arg, 0, arg.limits.max_logprobs)));
}

Result<void> read_chat_logprobs(const Arg& arg, GenerationRequest& r) {
  if (TRY(boolean(arg))) r.output_scores = 0;
  return {};
}

// Its row comes after that of logprobs.
Result<void> read_top_logprobs(const Arg& arg, GenerationRequest& r) {
  const int count = TRY(num_alternatives(arg));
  if (r.output_scores)
    r.output_scores = count;
  else if (count > 0)
    return invalid("top_logprobs needs logprobs to be true", arg.name);
  return {};
}

// false asks for none, as clients of both endpoints write it.
Result<void> read_scores(const Arg& arg, std::optional<int>& scores) {
  if (arg.value == Json(false)) return {};
  scores = TRY(num_alternatives(arg));
  return {};
}

Result<void> read_completion_logprobs(const Arg& arg, GenerationRequest& r) {
  return read_scores(arg, r.output_scores);
}

Result<void> read_prompt_logprobs(const Arg& arg, GenerationRequest& r) {
  return read_scores(arg, r.prompt_scores);
}

Result<void> read_echo(const Arg& arg, GenerationRequest& r) {
  r.echo = TRY(boolean(arg));
  return {};
}

Result<void> read_skip_special_tokens(const Arg& arg, GenerationRequest& r) {
  r.skip_special_tokens = TRY(boolean(arg));
  return {};
}

Result<void> read_return_token_ids(const Arg& arg, GenerationRequest& r) {
  r.return_token_ids = TRY(boolean(arg));
  return {};
}

Result<void> read_return_tokens_as_token_ids(const Arg& arg, GenerationRequest& r) {
  r.return_tokens_as_token_ids = TRY(boolean(arg));
  return {};
}

constexpr Field kOutputFields[] = {
    {"model", kBoth, read_model},
    {"request_id", kBoth, read_request_id},
    {"stream", kBoth, read_stream},
    {"stream_options", kBoth, read_stream_options},
    {"logprobs", kChatOnly, read_chat_logprobs},
    {"top_logprobs", kChatOnly, read_top_logprobs},
    {"logprobs", kCompletionsOnly, read_completion_logprobs},
    {"prompt_logprobs", kBoth, read_prompt_logprobs},
    {"echo", kCompletionsOnly, read_echo},
    {"skip_special_tokens", kBoth, read_skip_special_tokens},
    {"return_token_ids", kBoth, read_return_token_ids},
    {"return_tokens_as_token_ids", kBoth, read_return_tokens_as_token_ids},
};

}  // namespace

std::span<const Field> output_fields() {
  return kOutputFields;
}

}  // namespace erne::server
