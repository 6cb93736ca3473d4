#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"
#include "text/text_goldens.h"

namespace erne::text {
namespace {

std::vector<std::string> stream(const std::vector<TokenId>& ids, bool skip_special) {
  Detokenizer detokenizer(golden_tokenizer(), skip_special);
  std::vector<std::string> pieces;
  for (const TokenId id : ids) pieces.emplace_back(detokenizer.push(id));
  pieces.emplace_back(detokenizer.finish());
  return pieces;
}

std::string join(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

void expect_golden_stream(const Json& c, const char* text_key) {
  const auto pieces = stream(ids_of(*c.find("ids")), false);
  const std::string& text = string_of(c, text_key);
  EXPECT_EQ(join(pieces), text);
  // Where bytes are invalid the offset rule depends on how they are replaced, and it never flushes.
  if (text.find(kReplacementCharacter) != text.npos) return;
  std::vector<std::string> emitted;
  for (const std::string& piece : pieces)
    if (!piece.empty()) emitted.push_back(piece);
  std::vector<std::string> expected;
  for (const Json& piece : c.find("stream")->as_array())
    if (!piece.as_string().empty()) expected.push_back(piece.as_string());
  EXPECT_EQ(emitted, expected);
}

TEST(Detokenizer, EmitsTheGoldenStreams) {
  const Json cases = golden_json("tokenizer_cases.json");
  for (const Json& c : cases.find("encode")->as_array()) expect_golden_stream(c, "decoded_spm");
  for (const Json& c : cases.find("decode")->as_array()) expect_golden_stream(c, "text_spm");
}

TEST(Detokenizer, HoldsAnUnfinishedCharacterBackAndEndsWithReplacements) {
  const Tokenizer& t = golden_tokenizer();
  const auto byte = [&](const char* piece) { return *t.find(piece); };
  Detokenizer detokenizer(t, false);
  EXPECT_EQ(detokenizer.push(byte("<0xF0>")), "");
  EXPECT_EQ(detokenizer.push(byte("<0x9F>")), "");
  EXPECT_EQ(detokenizer.push(byte("<0x98>")), "");
  EXPECT_EQ(detokenizer.push(byte("<0x80>")), "😀");
  EXPECT_EQ(detokenizer.push(byte("<0xE4>")), "");
  EXPECT_EQ(detokenizer.push(*t.find("▁could")), "\uFFFD could");
  EXPECT_EQ(detokenizer.push(byte("<0xE4>")), "");
  EXPECT_EQ(detokenizer.push(byte("<0xBD>")), "");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD\uFFFD");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, WhatCannotBecomeACharacterIsNotHeldBack) {
  const Tokenizer& t = golden_tokenizer();
  Detokenizer detokenizer(t, false);
  EXPECT_EQ(detokenizer.push(*t.find("<0xFF>")), "\uFFFD");
  EXPECT_EQ(detokenizer.push(*t.find("<0xE4>")), "");
  EXPECT_EQ(detokenizer.push(*t.find("<0xE4>")), "\uFFFD");
  EXPECT_EQ(detokenizer.push(*t.find("<0x41>")), "\uFFFDA");
}

TEST(Detokenizer, ASkippedTokenDoesNotCutACharacter) {
  const Tokenizer& t = golden_tokenizer();
  const std::vector<TokenId> ids = {*t.find("<0xC3>"), 2, *t.find("<0xA9>")};
  EXPECT_EQ(join(stream(ids, true)), "é");
  EXPECT_EQ(join(stream(ids, false)), "\uFFFD</s>\uFFFD");
}

// What decoding means, said again: the tokens' bytes, runs of byte pieces read as UTF-8.
std::string decode_at_once(const std::vector<TokenId>& ids, bool skip_special) {
  const Tokenizer& t = golden_tokenizer();
  std::string text, run;
  const auto flush = [&] {
    for (std::string_view rest = run; !rest.empty();) {
      const Utf8Step step = utf8_step(rest);
      text += step.valid ? rest.substr(0, step.length) : kReplacementCharacter;
      rest.remove_prefix(step.length);
    }
    run.clear();
  };
  for (const TokenId id : ids) {
    if ((skip_special && t.is_special(id)) || t.token_bytes(id).empty()) continue;
    if (!t.is_byte(id)) flush();
    (t.is_byte(id) ? run : text) += t.token_bytes(id);
  }
  flush();
  return text;
}

TEST(Detokenizer, PiecesJoinToTheWholeAndEndBetweenCharacters) {
  std::mt19937 random(2);
  const TokenId first_byte = *golden_tokenizer().find("<0x00>");
  for (int i = 0; i < 4000; ++i) {
    std::vector<TokenId> ids;
    for (size_t n = random() % 12; n > 0; --n) {
      const bool is_byte = random() % 3 != 0;  // bytes from 0x80 on, so that characters happen
      ids.push_back(is_byte ? first_byte + 0x80 + static_cast<int>(random() % 0x78)
                            : static_cast<TokenId>(random() % 1010));
    }
    for (const bool skip_special : {false, true}) {
      const auto pieces = stream(ids, skip_special);
      for (const std::string& piece : pieces) ASSERT_TRUE(is_valid_utf8(piece));
      ASSERT_EQ(join(pieces), decode_at_once(ids, skip_special));
      ASSERT_EQ(join(pieces), golden_tokenizer().decode(ids, skip_special));
    }
  }
}

}  // namespace
}  // namespace erne::text
