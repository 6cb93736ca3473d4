#include "server/logprobs_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"

namespace erne::server {
namespace {

// What JSON has no number for: the probability of a forbidden token is 0. OpenAI's replies say so
// too.
constexpr float kLowestLogprob = -9999.0f;

Json logprob_json(float logprob) {
  return static_cast<double>(std::max(logprob, kLowestLogprob));
}

Json named_score(const sched::TokenLogprob& token, const TokenNames& names) {
  return Json()
      .set("token", names.name(token.token))
      .set("logprob", logprob_json(token.logprob))
      .set("bytes", names.bytes(token.token));
}

// The best ones and the token that stands there.
std::vector<sched::TokenLogprob> candidates(const ScoredToken& token) {
  std::vector<sched::TokenLogprob> out = token.top;
  const bool listed = std::any_of(out.begin(), out.end(), [&](const sched::TokenLogprob& other) {
    return other.token == token.id;
  });
  if (!listed) out.push_back({token.id, *token.logprob});
  return out;
}

// A list that is written down as it grows: scores as text take a fifth of what they take as values.
class TextList {
 public:
  void push_back(const Json& item) {
    if (text_.size() > 1) text_ += ',';
    item.dump_to(text_);
  }
  Json take() {
    text_ += ']';
    return Json::written(std::move(text_));
  }

 private:
  std::string text_ = "[";
};

}  // namespace

std::string TokenNames::id_name(TokenId id) {
  return fmt::format("token_id:{}", id);
}

std::string TokenNames::name(TokenId id) const {
  if (as_ids_) return id_name(id);
  const std::string_view bytes = tokenizer_->token_bytes(id);
  if (is_valid_utf8(bytes)) return std::string(bytes);
  std::string out = "bytes:";
  for (const unsigned char byte : bytes) out += fmt::format("\\x{:02x}", byte);
  return out;
}

Json TokenNames::bytes(TokenId id) const {
  if (tokenizer_ == nullptr) return Json();
  Json::Array out;
  for (const unsigned char byte : tokenizer_->token_bytes(id)) out.push_back(int{byte});
  return out;
}

Json chat_logprobs(const std::vector<ScoredToken>& tokens, const TokenNames& names) {
  TextList content;
  for (const ScoredToken& token : tokens) {
    Json::Array top;
    for (const sched::TokenLogprob& other : token.top) top.push_back(named_score(other, names));
    Json entry = named_score({token.id, token.logprob.value_or(kLowestLogprob)}, names);
    content.push_back(entry.set("top_logprobs", std::move(top)));
  }
  return Json().set("content", content.take());
}

Json completion_logprobs(const std::vector<ScoredToken>& tokens, const TokenNames& names) {
  TextList texts, logprobs, tops, offsets;
  for (const ScoredToken& token : tokens) {
    texts.push_back(names.name(token.id));
    offsets.push_back(token.text_offset);
    if (!token.logprob) {
      logprobs.push_back(Json());
      tops.push_back(Json());
      continue;
    }
    logprobs.push_back(logprob_json(*token.logprob));
    Json::Object top;
    for (const sched::TokenLogprob& other : candidates(token)) {
      std::string name = names.name(other.token);
      const bool taken =
          std::any_of(top.begin(), top.end(), [&](const auto& item) { return item.first == name; });
      top.emplace_back(taken ? TokenNames::id_name(other.token) : std::move(name),
                       logprob_json(other.logprob));
    }
    tops.push_back(std::move(top));
  }
  return Json()
      .set("tokens", texts.take())
      .set("token_logprobs", logprobs.take())
      .set("top_logprobs", tops.take())
      .set("text_offset", offsets.take());
}

Json prompt_logprobs(const std::vector<ScoredToken>& tokens, const TokenNames& names) {
  TextList out;
  for (const ScoredToken& token : tokens) {
    if (!token.logprob) {
      out.push_back(Json());
      continue;
    }
    Json::Object entry;
    size_t rank = 0;
    for (const sched::TokenLogprob& other : candidates(token)) {
      const bool ranked = ++rank <= token.top.size();
      Json score;
      score.set("logprob", logprob_json(other.logprob));
      score.set("rank", ranked ? Json(static_cast<int64_t>(rank)) : Json());
      score.set("decoded_token", names.name(other.token));
      entry.emplace_back(std::to_string(other.token), std::move(score));
    }
    out.push_back(std::move(entry));
  }
  return out.take();
}

}  // namespace erne::server
