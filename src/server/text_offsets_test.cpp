#include "server/text_offsets.h"

#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"
#include "server/choice.h"
#include "text/text_goldens.h"

namespace erne::server {
namespace {

using text::golden_tokenizer;

// As a client sees text: a list of characters.
std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t length = utf8_step(text).length;
    out.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
}

// text[begin:end] in Python.
std::string slice(const std::vector<std::string>& text, int64_t begin, int64_t end) {
  std::string out;
  for (int64_t i = begin; i < end; ++i) out += text[i];
  return out;
}

struct Shown {
  std::string text;
  std::vector<ScoredToken> scores;
};

// The promise of docs/api.md, and that a whole token's slice is its text. Of an echoed text all
// special tokens show.
void expect_consistent(const Shown& shown, size_t num_prompt, bool skip_special,
                       const std::string& what) {
  const auto text = characters(shown.text);
  const auto end = static_cast<int64_t>(text.size());
  std::string joined;
  int64_t before = 0;
  for (size_t i = 0; i < shown.scores.size(); ++i) {
    const ScoredToken& score = shown.scores[i];
    const int64_t next = i + 1 < shown.scores.size() ? shown.scores[i + 1].text_offset : end;
    ASSERT_GE(score.text_offset, before) << what;
    ASSERT_LE(score.text_offset, end) << what;
    ASSERT_TRUE(i > 0 || score.text_offset == 0) << what;
    before = score.text_offset;
    const std::string own = slice(text, score.text_offset, next);
    joined += own;
    const bool is_plain =
        !golden_tokenizer().is_byte(score.id) &&
        !(skip_special && i >= num_prompt && golden_tokenizer().is_special(score.id)) &&
        score.id != 2 && next < end;
    if (is_plain) {
      EXPECT_EQ(own, golden_tokenizer().token_bytes(score.id)) << what << " token " << i;
    }
  }
  EXPECT_EQ(joined, shown.text) << what;
}

class Tokens {
 public:
  explicit Tokens(uint32_t seed) : random_(seed) {}
  int below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  // Many bytes, some special tokens, some texts.
  TokenId one() {
    const int kind = below(10);
    if (kind < 5) return byte(kBytes[below(std::size(kBytes))]);
    if (kind < 6) return below(3);
    return below(golden_tokenizer().size());
  }
  std::vector<TokenId> some(int most) {
    std::vector<TokenId> ids(1 + below(most));
    for (TokenId& id : ids) id = one();
    return ids;
  }

 private:
  static TokenId byte(int value) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", value);
    return golden_tokenizer().find(name).value();
  }
  // Of whole and broken characters of all lengths.
  static constexpr int kBytes[] = {0xF0, 0x9F, 0x98, 0x80, 0xE4, 0xBD, 0xA0, 0xC3, 0xA9,
                                   0x41, 0x0A, 0xFF, 0xC0, 0xED, 0xA0, 0x80, 0xF4, 0x90};
  std::mt19937 random_;
};

Shown generate(const GenerationRequest& request, const PreparedPrompt& prompt,
               const std::vector<TokenId>& ids, Tokens& random) {
  static const std::vector<TokenId> kEosIds = {2};
  Choice choice(request, prompt, kEosIds, &golden_tokenizer());
  Shown shown;
  std::string text_so_far;
  for (size_t i = 0; i < ids.size() && !choice.finished();) {
    sched::TokenEvent event;
    for (int n = 1 + random.below(3); n > 0 && i < ids.size(); --n, ++i) {
      event.tokens.push_back(ids[i]);
      event.logprobs.push_back({{ids[i], -1.0f}, {}});
    }
    if (i == ids.size())
      event.finish = ids.back() == 2 ? sched::FinishReason::kStop : sched::FinishReason::kLength;
    choice.push(event);
    Delta delta = choice.take();
    shown.text += delta.content;
    for (ScoredToken& score : delta.scores) {
      // Nobody who reads a stream sees an offset before the text it is in.
      EXPECT_LE(score.text_offset, num_characters(shown.text));
      shown.scores.push_back(std::move(score));
    }
  }
  return shown;
}

TEST(TextOffsets, SlicesOfEveryGeneratedTextAreTheText) {
  for (uint32_t seed = 0; seed < 4000; ++seed) {
    Tokens random(seed);
    GenerationRequest request(Endpoint::kCompletions, {});
    request.output_scores = 0;
    request.skip_special_tokens = random.below(2) == 0;
    request.include_stop_str_in_output = random.below(4) == 0;
    std::vector<TokenId> ids = random.some(12);
    if (random.below(3) == 0) ids.push_back(2);
    if (random.below(2) == 0) {
      const std::string text = golden_tokenizer().decode(ids, request.skip_special_tokens);
      const auto all = characters(text);
      if (!all.empty()) {
        const int begin = random.below(static_cast<int>(all.size()));
        const int length = 1 + random.below(static_cast<int>(all.size()) - begin);
        request.stop = {slice(all, begin, begin + length), "never \x01 there"};
      }
    }
    const Shown shown = generate(request, {}, ids, random);
    expect_consistent(shown, 0, request.skip_special_tokens, "seed " + std::to_string(seed));
  }
}

TEST(TextOffsets, EchoedTextsAreInTheSameCount) {
  const char* kTexts[] = {"<s>hello 12",         "你好😀 12 <|end_of_sentence|>x", "",
                          "a\tb\n\n  c  ",       "\u00e9\u0301\u200d 𝔘𝔫𝔦 \u2028",  "</s></s>",
                          "<mask:1> <unk>12<s>", "  leading and trailing  ",       "\U0010FFFD"};
  for (const char* text : kTexts)
    for (const bool skip : {false, true})
      for (uint32_t seed = 0; seed < 20; ++seed) {
        Tokens random(seed);
        GenerationRequest request(Endpoint::kCompletions, {});
        request.output_scores = 0;
        request.echo = true;
        request.skip_special_tokens = skip;
        PreparedPrompt prompt;
        prompt.text = text;
        prompt.ids = golden_tokenizer().encode(text, text::Specials::kParse);
        prompt.text_offsets = offsets_in(text, prompt.ids, golden_tokenizer());
        const Shown shown = generate(request, prompt, random.some(6), random);
        ASSERT_TRUE(shown.text.starts_with(text));
        expect_consistent(shown, prompt.ids.size(), skip, std::string(text) + std::to_string(seed));
      }
}

TEST(TextOffsets, SpecialTokensCountAsFarAsTheTextShowsThem) {
  const auto ids = golden_tokenizer().encode("<s>hello 12", text::Specials::kParse);
  const auto offsets = offsets_in("<s>hello 12", ids, golden_tokenizer());
  ASSERT_EQ(ids[0], golden_tokenizer().find("<s>"));
  EXPECT_EQ(offsets[0], 0);
  EXPECT_EQ(offsets[1], 3);
  CountingDetokenizer hidden(golden_tokenizer(), /*skip_special=*/true, 0);
  CountingDetokenizer shown(golden_tokenizer(), /*skip_special=*/false, 0);
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(shown.push(ids[i]).offset, offsets[i]);
    EXPECT_EQ(hidden.push(ids[i]).offset, i == 0 ? 0 : offsets[i] - 3);
  }
}

// Bytes of a chat's log-probabilities, one token after the other, are those of its text, but that
// bytes of no character show as U+FFFD.
TEST(TextOffsets, BytesOfTokensAreTheBytesOfTheText) {
  for (const char* text : {"你😀 12 é", "plain", "\U0001F600\U0001F600"}) {
    std::string bytes;
    for (const TokenId id : golden_tokenizer().encode(text, text::Specials::kAsText))
      bytes += golden_tokenizer().token_bytes(id);
    EXPECT_EQ(bytes, text);
  }
}

}  // namespace
}  // namespace erne::server
