// Requests as tests write them: the fields that matter, in a body that is right otherwise.
#pragma once

#include <string>
#include <string_view>

#include "server/generation_request.h"

namespace erne::server {

inline constexpr RequestLimits kLimits{
    .vocab_size = 1000, .max_model_len = 2048, .max_logprobs = 20};

inline Result<GenerationRequest> parse_text(Endpoint endpoint, std::string_view body,
                                            const SamplingDefaults& defaults,
                                            const RequestLimits& limits) {
  return parse_generation_request(endpoint, Json::parse(body), defaults, limits);
}

// `fields` begin with a comma.
inline Result<GenerationRequest> completion(const std::string& fields) {
  return parse_text(Endpoint::kCompletions, R"({"prompt":"x")" + fields + "}", {}, kLimits);
}

inline Result<GenerationRequest> chat(const std::string& fields) {
  return parse_text(Endpoint::kChat,
                    R"({"messages":[{"role":"user","content":"x"}])" + fields + "}", {}, kLimits);
}

}  // namespace erne::server
