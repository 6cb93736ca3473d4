#include "server/generation_request.h"

#include <fmt/format.h>

#include "server/fields.h"
#include "server/tool_calls_format.h"

namespace erne::server {
namespace {

constexpr std::string_view kAddGenerationPrompt = "add_generation_prompt";

// In the words of all of ERNIE's templates (docs/ernie-models.md, 7.2); each reads its own.
void tell_template_of_thinking(bool thinking, Json& variables) {
  if (variables.find("enable_thinking") == nullptr) variables.set("enable_thinking", thinking);
  if (variables.find("options") == nullptr)
    variables.set("options", Json().set("thinking_mode", thinking ? "open" : "close"));
}

Result<void> check_chat(const GenerationRequest& r) {
  if (r.prompts.empty() && (r.messages.is_null() || r.messages.as_array().empty()))
    return invalid("messages is required: a list of at least one message", "messages");
  return {};
}

Result<void> check_completions(const GenerationRequest& r) {
  if (r.prompts.empty()) return invalid("prompt is required", "prompt");
  if (r.best_of && *r.best_of != r.n)
    return unsupported(
        fmt::format("best_of other than n is not built yet, found {} with n {}", *r.best_of, r.n),
        "best_of");
  if (r.prompts.size() * r.n > kMaxChoices)
    return invalid(fmt::format("{} prompts times n {} are more than the allowed {} choices",
                               r.prompts.size(), r.n, kMaxChoices),
                   "n");
  return {};
}

Result<void> bind_tool_calls(GenerationRequest& r) {
  const bool calls = r.tools.is_array() && r.tool_choice != ToolChoice::kNone;
  if (calls && r.answer_format)
    return unsupported(
        fmt::format("{} together with tools that may be called is not built yet: send one of them, "
                    "or tool_choice \"none\"",
                    r.answer_format->field),
        r.answer_format->field);
  if (calls) r.answer_format = tool_calls_format(r);
  return {};
}

Result<void> check_together(const GenerationRequest& r) {
  TRY(r.endpoint == Endpoint::kChat ? check_chat(r) : check_completions(r));
  if ((r.include_usage || r.continuous_usage) && !r.stream)
    return invalid("stream_options needs stream to be true", "stream_options");
  const auto asked = r.asked_tokens();
  const char* name = r.max_completion_tokens ? "max_completion_tokens" : "max_tokens";
  if (asked && r.min_tokens > *asked)
    return invalid(
        fmt::format("min_tokens must be at most {} {}, found {}", name, *asked, r.min_tokens),
        "min_tokens");
  if (asked && *asked == 0 && !r.echo && !r.prompt_scores)
    return invalid(fmt::format("{} must be at least 1 without echo or prompt_logprobs", name),
                   name);
  return {};
}

}  // namespace

GenerationRequest::GenerationRequest(Endpoint endpoint, const SamplingDefaults& defaults)
    : endpoint(endpoint) {
  sampling.temperature = defaults.temperature;
  sampling.top_p = defaults.top_p;
  sampling.top_k = defaults.top_k;
  sampling.min_p = defaults.min_p;
  sampling.repetition_penalty = defaults.repetition_penalty;
  sampling.frequency_penalty = defaults.frequency_penalty;
  sampling.presence_penalty = defaults.presence_penalty;
}

Result<GenerationRequest> parse_generation_request(Endpoint endpoint, Result<Json> body,
                                                   const SamplingDefaults& defaults,
                                                   const RequestLimits& limits) {
  const Json json = TRY(std::move(body));
  GenerationRequest request(endpoint, defaults);
  TRY(read_fields(json, endpoint, limits, request));
  TRY(check_together(request));
  TRY(bind_tool_calls(request));
  if (request.template_variables.find(kAddGenerationPrompt) == nullptr)
    request.template_variables.set(std::string(kAddGenerationPrompt), true);
  if (request.thinking) tell_template_of_thinking(*request.thinking, request.template_variables);
  return request;
}

}  // namespace erne::server
