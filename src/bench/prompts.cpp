#include "bench/prompts.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "base/counter_rng.h"
#include "base/text_file.h"

namespace erne::bench {
namespace {

constexpr size_t kMaxLineBytes = 16 << 20;
constexpr size_t kMaxDatasetBytes = size_t{1} << 30;

// Uniform in [first, last).
int64_t draw(const CounterRng& rng, int64_t position, int64_t first, int64_t last) {
  return first + static_cast<int64_t>(rng.uniform(position) * static_cast<double>(last - first));
}

Json user_message(std::string text) {
  return Json::Array{Json::Object{{"role", "user"}, {"content", std::move(text)}}};
}

bool is_token_ids(const Json& value) {
  if (!value.is_array() || value.as_array().empty()) return false;
  const auto is_id = [](const Json& id) { return id.is_integer() && id.as_int() >= 0; };
  return std::all_of(value.as_array().begin(), value.as_array().end(), is_id);
}

Result<Json> content_of(const Json& line, Endpoint endpoint) {
  const Json* prompt = line.find("prompt");
  const Json* messages = line.find("messages");
  if (endpoint == Endpoint::kChat) {
    if (messages && messages->is_array()) return *messages;
    if (prompt && prompt->is_string()) return user_message(prompt->as_string());
    return invalid("needs \"messages\" (a list) or \"prompt\" (text) for chat completions");
  }
  if (prompt && (prompt->is_string() || is_token_ids(*prompt))) return *prompt;
  return invalid("needs \"prompt\", a text or a list of token ids, for completions");
}

Result<Prompt> parse_line(const std::string& text, Endpoint endpoint, int64_t output_tokens) {
  if (text.size() > kMaxLineBytes) {
    return invalid(fmt::format("is larger than {} bytes", kMaxLineBytes));
  }
  const Json line = TRY(Json::parse(text));
  if (!line.is_object())
    return invalid(fmt::format("is of type {}, not an object", line.type_name()));
  Json content = TRY(content_of(line, endpoint));
  if (const Json* length = line.find("output_len")) {
    if (!length->is_integer() || length->as_int() < 1) {
      return invalid("\"output_len\" must be an integer of at least 1");
    }
    output_tokens = length->as_int();
  }
  return Prompt{std::move(content), output_tokens};
}

}  // namespace

Result<Endpoint> parse_endpoint(const std::string& path) {
  if (path == "/v1/completions") return Endpoint::kCompletions;
  if (path == "/v1/chat/completions") return Endpoint::kChat;
  return invalid(fmt::format("--endpoint is \"{}\"; it must be /v1/completions or "
                             "/v1/chat/completions",
                             path),
                 "endpoint");
}

std::vector<Prompt> random_prompts(const RandomPrompts& options) {
  std::vector<Prompt> prompts;
  for (int i = 0; i < options.num_prompts; ++i) {
    const CounterRng rng(options.seed, static_cast<uint64_t>(i));
    if (options.endpoint == Endpoint::kChat) {
      std::string digits;
      for (int64_t t = 0; t < options.input_tokens; ++t) {
        digits += static_cast<char>(draw(rng, t, '0', '9' + 1));
      }
      prompts.push_back({user_message(std::move(digits)), options.output_tokens});
    } else {
      const int64_t margin = options.vocab_size / 20;
      Json::Array ids;
      for (int64_t t = 0; t < options.input_tokens; ++t) {
        ids.emplace_back(draw(rng, t, margin, options.vocab_size - margin));
      }
      prompts.push_back({std::move(ids), options.output_tokens});
    }
  }
  return prompts;
}

Result<std::vector<Prompt>> read_prompts(const std::string& path, Endpoint endpoint,
                                         int num_prompts, int64_t default_output_tokens) {
  std::istringstream file(TRY(read_text_file(path, kMaxDatasetBytes, "--dataset")));
  std::vector<Prompt> prompts;
  std::string text;
  for (int line = 1; static_cast<int>(prompts.size()) < num_prompts; ++line) {
    if (!std::getline(file, text)) {
      return invalid(fmt::format("--dataset: {} has {} prompts, --num-prompts asks for {}", path,
                                 prompts.size(), num_prompts),
                     "num_prompts");
    }
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    auto prompt = parse_line(text, endpoint, default_output_tokens);
    if (!prompt.ok()) {
      return invalid(fmt::format("--dataset: {} line {} {}", path, line, prompt.status().message),
                     "dataset");
    }
    prompts.push_back(std::move(*prompt));
  }
  return prompts;
}

}  // namespace erne::bench
