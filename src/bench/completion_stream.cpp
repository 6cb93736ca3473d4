#include "bench/completion_stream.h"

#include <fmt/format.h>

namespace erne::bench {
namespace {

constexpr size_t kMaxErrorBodyBytes = 64 << 10;
constexpr size_t kMaxReasonBytes = 200;  // a reason is a key of the report

int64_t integer_at(const Json& object, std::string_view key, int64_t otherwise) {
  const Json* value = object.find(key);
  return value && value->is_integer() ? value->as_int() : otherwise;
}

bool is_filled(const Json* value) {
  if (!value) return false;
  return (value->is_string() && !value->as_string().empty()) ||
         (value->is_array() && !value->as_array().empty());
}

// Tells whether a choice of the stream brings a token, for servers that report no usage.
bool carries_token(const Json& choice) {
  for (const char* key : {"text", "completion_token_ids", "token_ids"}) {
    if (is_filled(choice.find(key))) return true;
  }
  const Json* delta = choice.find("delta");
  if (!delta) return false;
  for (const char* key : {"content", "reasoning_content", "tool_calls", "completion_token_ids"}) {
    if (is_filled(delta->find(key))) return true;
  }
  return false;
}

// The message of an OpenAI error body, or the text itself where it is none.
std::string error_message(std::string_view body) {
  const auto json = Json::parse(body);
  const Json* error = json.ok() ? json->find("error") : nullptr;
  const Json* message = error ? error->find("message") : nullptr;
  return message && message->is_string() ? message->as_string() : std::string(body);
}

}  // namespace

bool CompletionStream::feed(int http_status, std::string_view bytes, int64_t now_us) {
  if (http_status != 200) {
    error_body_ += bytes.substr(0, kMaxErrorBodyBytes - error_body_.size());
    return error_body_.size() < kMaxErrorBodyBytes;
  }
  const auto fed = parser_.feed(bytes, [&](std::string_view data) { take_event(data, now_us); });
  if (!fed.ok()) fail(fed.status().message);
  return outcome_.ok();
}

void CompletionStream::take_event(std::string_view data, int64_t now_us) {
  if (done_ || !outcome_.ok()) return;
  if (data == "[DONE]") {
    done_ = true;
    return;
  }
  const auto event = Json::parse(data);
  if (!event.ok() || !event->is_object()) return fail("an event of the stream is no JSON object");
  if (const Json* error = event->find("error"); error && !error->is_null()) {
    return fail("error in the stream: " + error_message(data));
  }
  if (const Json* usage = event->find("usage"); usage && usage->is_object()) take_usage(*usage);

  const Json* choices = event->find("choices");
  if (!choices || !choices->is_array() || choices->as_array().empty()) return;
  const Json& choice = choices->as_array().front();
  if (const Json* reason = choice.find("finish_reason"); is_filled(reason) && reason->is_string()) {
    outcome_.finish_reason = reason->as_string();
  }
  const int64_t num_tokens =
      reported_tokens_ >= 0 ? reported_tokens_ - counted_tokens_ : int64_t{carries_token(choice)};
  if (num_tokens <= 0) return;
  counted_tokens_ += num_tokens;
  outcome_.events.push_back({now_us, num_tokens});
}

void CompletionStream::take_usage(const Json& usage) {
  reported_tokens_ = integer_at(usage, "completion_tokens", reported_tokens_);
  outcome_.input_tokens = integer_at(usage, "prompt_tokens", outcome_.input_tokens);
  if (const Json* details = usage.find("prompt_tokens_details")) {
    outcome_.cached_tokens = integer_at(*details, "cached_tokens", outcome_.cached_tokens);
  }
}

void CompletionStream::fail(std::string reason) {
  if (outcome_.ok()) outcome_.failure = std::move(reason);
}

RequestOutcome CompletionStream::finish(int http_status, std::string_view transport_error,
                                        int64_t now_us) {
  fail(why_failed(http_status, transport_error));
  if (outcome_.failure.size() > kMaxReasonBytes) outcome_.failure.resize(kMaxReasonBytes);
  outcome_.output_tokens = std::max(reported_tokens_, counted_tokens_);
  outcome_.end_us = now_us;
  return std::move(outcome_);
}

std::string CompletionStream::why_failed(int http_status, std::string_view transport_error) const {
  if (http_status != 0 && http_status != 200) {
    return fmt::format("HTTP {}: {}", http_status, error_message(error_body_));
  }
  if (!transport_error.empty()) return std::string(transport_error);
  if (!done_) return "the stream ended before [DONE]";
  if (outcome_.events.empty()) return "the stream carried no token";
  return {};
}

}  // namespace erne::bench
