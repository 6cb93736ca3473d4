// Fields that clients send and that change nothing here. Two kinds: those that OpenAI's definition
// makes labels, hints or promises without a visible effect, and those for features that are not
// built yet, which are taken only with the value that asks for nothing.
#include <fmt/format.h>

#include "server/fields.h"

namespace erne::server {
namespace {

constexpr size_t kMaxLabelBytes = 1024;

// Values that ask for nothing whatever the field: false, "", [], {}.
bool is_nothing(const Json& value) {
  return value == Json(false) || value == Json("") || value == Json(Json::Array()) ||
         value == Json(Json::Object());
}

Result<void> not_built(const Arg& arg, GenerationRequest&) {
  if (is_nothing(arg.value)) return {};
  return unsupported(fmt::format("{} is not built yet", arg.name), arg.name);
}

// An empty object asks for the feature: with its defaults, or for any JSON.
Result<void> not_built_at_all(const Arg& arg, GenerationRequest&) {
  return unsupported(fmt::format("{} is not built yet", arg.name), arg.name);
}

Result<void> only(const Arg& arg, const Json& value) {
  const bool same_number =
      arg.value.is_integer() && value.is_integer() && arg.value.as_int() == value.as_int();
  if (arg.value == value || same_number) return {};
  return unsupported(fmt::format("{} other than {} is not built yet", arg.name, value.dump()),
                     arg.name);
}
Result<void> only_false(const Arg& arg, GenerationRequest&) {
  return only(arg, Json(false));
}
Result<void> only_true(const Arg& arg, GenerationRequest&) {
  return only(arg, Json(true));
}
Result<void> only_one(const Arg& arg, GenerationRequest&) {
  return only(arg, Json(1));
}
Result<void> only_empty_string(const Arg& arg, GenerationRequest&) {
  return only(arg, Json(""));
}

Result<void> only_medium(const Arg& arg, GenerationRequest&) {
  return only(arg, Json("medium"));  // OpenAI's default
}

Result<void> only_empty_list(const Arg& arg, GenerationRequest&) {
  return only(arg, Json(Json::Array()));
}

Result<void> only_text_modality(const Arg& arg, GenerationRequest&) {
  return only(arg, Json(Json::Array{"text"}));
}

// Without tools all but "required" and a named tool ask for what happens anyway.
Result<void> only_optional_tools(const Arg& arg, GenerationRequest&) {
  if (arg.value == Json("none") || arg.value == Json("auto")) return {};
  return unsupported(fmt::format("{} other than \"none\" or \"auto\" is not built yet", arg.name),
                     arg.name);
}

Result<void> any_boolean(const Arg& arg, GenerationRequest&) {
  TRY(boolean(arg));
  return {};
}

Result<void> any_label(const Arg& arg, GenerationRequest&) {
  TRY(string(arg, kMaxLabelBytes));
  return {};
}

Result<void> any_service_tier(const Arg& arg, GenerationRequest&) {
  if (arg.value == Json("auto") || arg.value == Json("default")) return {};
  return arg.wrong("\"auto\" or \"default\"");
}

// Labels for OpenAI; older FastDeploy clients put parameters there, which must not be lost.
Result<void> labels(const Arg& arg, GenerationRequest&) {
  if (!arg.value.is_object()) return arg.wrong("an object");
  for (const auto& [key, value] : arg.value.as_object())
    if (!value.is_string())
      return Arg{arg.name + "." + key.substr(0, 40), value, arg.limits}.wrong(
          "a string: metadata holds labels, parameters belong into the body itself");
  return {};
}

Result<void> never_a_template(const Arg& arg, GenerationRequest&) {
  return invalid("chat_template is not taken from clients: the checkpoint's own template is used",
                 arg.name);
}

constexpr Field kBystanderFields[] = {
    // Labels, hints and promises.
    {"user", kBoth, any_label},
    {"safety_identifier", kChatOnly, any_label},
    {"prompt_cache_key", kChatOnly, any_label},
    {"metadata", kBoth, labels},
    {"service_tier", kChatOnly, any_service_tier},
    {"store", kChatOnly, any_boolean},           // nothing is stored
    {"add_special_tokens", kBoth, any_boolean},  // ERNIE's tokenizer adds none of its own
    // Not built yet, but for the value that asks for nothing.
    {"modalities", kChatOnly, only_text_modality},
    {"suffix", kCompletionsOnly, only_empty_string},
    {"continue_final_message", kChatOnly, only_false},
    {"disable_chat_template", kChatOnly, only_false},
    {"include_draft_logprobs", kBoth, only_false},
    {"temp_scaled_logprobs", kBoth, only_false},
    {"top_p_normalized_logprobs", kBoth, only_false},
    {"collect_metrics", kBoth, only_false},
    {"include_logprobs_decode_token", kBoth, only_true},
    {"max_streaming_response_tokens", kBoth, only_one},
    // Not built yet.
    {"audio", kChatOnly, not_built_at_all},
    {"functions", kChatOnly, only_empty_list},
    {"function_call", kChatOnly, only_optional_tools},
    {"prediction", kChatOnly, not_built_at_all},
    {"web_search_options", kChatOnly, not_built_at_all},
    {"verbosity", kChatOnly, only_medium},
    {"reasoning_max_tokens", kCompletionsOnly, not_built},
    {"response_max_tokens", kBoth, not_built},
    {"logits_processors_args", kCompletionsOnly, not_built},
    {"mm_hashes", kBoth, not_built},
    {"mm_processor_kwargs", kBoth, not_built},
    {"disaggregate_info", kBoth, not_built},
    {"trace_context", kBoth, not_built},
    // Never.
    {"chat_template", kChatOnly, never_a_template},
};

}  // namespace

std::span<const Field> bystander_fields() {
  return kBystanderFields;
}

}  // namespace erne::server
