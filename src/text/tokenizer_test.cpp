#include "text/tokenizer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "base/temp_folder_fixture.h"
#include "base/utf8.h"
#include "text/text_goldens.h"

namespace erne::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<TokenId> encode(std::string_view text) {
  return golden_tokenizer().encode(text, Specials::kParse);
}
std::vector<TokenId> encode_as_text(std::string_view text) {
  return golden_tokenizer().encode(text, Specials::kAsText);
}
std::string decode(const std::vector<TokenId>& ids) {
  return golden_tokenizer().decode(ids, /*skip_special=*/false);
}

std::optional<std::string> named_token(const Tokenizer& tokenizer, std::string_view name) {
  for (const auto& [key, content] : tokenizer.named_tokens())
    if (key == name) return content;
  return std::nullopt;
}

TEST(Tokenizer, EncodesTheGoldenTexts) {
  const Json cases = golden_json("tokenizer_cases.json");
  ASSERT_EQ(cases.find("encode")->as_array().size(), 80u);
  for (const Json& c : cases.find("encode")->as_array()) {
    const auto ids = ids_of(*c.find("ids"));
    EXPECT_EQ(encode(string_of(c, "text")), ids) << string_of(c, "text");
    const auto& tokens = c.find("tokens")->as_array();
    for (size_t i = 0; i < ids.size(); ++i)
      EXPECT_EQ(golden_tokenizer().piece(ids[i]), tokens[i].as_string());
  }
}

TEST(Tokenizer, NoTextHasFewerTokensThanItsBytesNeed) {
  const Json cases = golden_json("tokenizer_cases.json");
  for (const Json& c : cases.find("encode")->as_array()) {
    const std::string text = string_of(c, "text");
    EXPECT_LE(golden_tokenizer().least_tokens(text.size()), encode(text).size()) << text;
  }
  EXPECT_EQ(golden_tokenizer().least_tokens(0), 0u);
  EXPECT_GT(golden_tokenizer().least_tokens(1 << 20), 10000u);
}

TEST(Tokenizer, DecodesTheGoldenIdsAsSentencePieceDoes) {
  const Json cases = golden_json("tokenizer_cases.json");
  for (const Json& c : cases.find("encode")->as_array()) {
    const auto ids = ids_of(*c.find("ids"));
    EXPECT_EQ(decode(ids), string_of(c, "decoded_spm"));
    EXPECT_EQ(golden_tokenizer().decode(ids, true), string_of(c, "decoded_skip_special"));
  }
  ASSERT_EQ(cases.find("decode")->as_array().size(), 40u);
  for (const Json& c : cases.find("decode")->as_array()) {
    const auto ids = ids_of(*c.find("ids"));
    EXPECT_EQ(decode(ids), string_of(c, "text_spm"));
    if (string_of(c, "text") != string_of(c, "text_spm")) continue;  // invalid bytes: HF differs
    EXPECT_EQ(golden_tokenizer().decode(ids, true), string_of(c, "text_skip_special"));
  }
}

TEST(Tokenizer, SpecialTokensAreOnlyTextWhereTheyAreTyped) {
  EXPECT_THAT(encode("<s>"), ElementsAre(1));
  EXPECT_EQ(decode(encode_as_text("<s>")), "<s>");
  EXPECT_THAT(encode_as_text("12<think>"), ElementsAre(4, 5, 997)) << "these are not special";
  // User-defined pieces of this model file: SentencePiece itself would see them in any text.
  for (const char* text : {"<mask:1>", "<|end_of_sentence|>", "x<mask:7><mask:7>y"}) {
    const auto ids = encode_as_text(text);
    EXPECT_EQ(decode(ids), text);
    for (const TokenId id : ids) EXPECT_FALSE(golden_tokenizer().is_special(id)) << text;
  }
}

// Pieces of special tokens, digits and characters of all lengths, joined at random.
std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> fragments = {"<",
                                                     "|",
                                                     ">",
                                                     "<|",
                                                     "|>",
                                                     "im_",
                                                     "start",
                                                     "end",
                                                     "<|im_start|>",
                                                     "<|im_end|>",
                                                     "<s>",
                                                     "</s>",
                                                     "<mask:",
                                                     "1",
                                                     "42",
                                                     "<mask:1>",
                                                     "<mask:4",
                                                     "<unk>",
                                                     "<think>",
                                                     "</think>",
                                                     "<|LOC_1|>",
                                                     "<|LOC_10|>",
                                                     " ",
                                                     "  ",
                                                     "\n",
                                                     "\t",
                                                     "the",
                                                     " could",
                                                     "介绍",
                                                     "é",
                                                     "😀",
                                                     "\xF4\x80\x80\x81",
                                                     "\xF4\x8F\xBF\xBD",
                                                     "\xF3\xB0\x80\x81",
                                                     "\xEF\xB7\x90",
                                                     "<0x0A>",
                                                     "▁",
                                                     "\x7F"};
  std::string text;
  for (size_t n = random() % 12; n > 0; --n) text += fragments[random() % fragments.size()];
  return text;
}

TEST(Tokenizer, TextGoesThereAndBackWhateverItLooksLike) {
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string text = random_text(random);
    const auto ids = encode_as_text(text);
    for (const TokenId id : ids) ASSERT_FALSE(golden_tokenizer().is_special(id)) << text;
    // The one character a vocabulary of this kind cannot hold: its own sign for a space.
    for (size_t at; (at = text.find("▁")) != text.npos;) text.replace(at, 3, " ");
    ASSERT_EQ(decode(ids), text);
    ASSERT_EQ(decode(encode(text)), text);
  }
}

TEST(Tokenizer, BytesThatAreNotUtf8AreReplaced) {
  EXPECT_EQ(decode(encode("a\xFF\xC3z")), "a\uFFFD\uFFFDz");
}

TEST(Tokenizer, KnowsItsTokens) {
  const Tokenizer& t = golden_tokenizer();
  EXPECT_EQ(t.size(), 1004);
  EXPECT_EQ(t.find("</s>"), 2);
  EXPECT_EQ(t.find("7"), 10);
  EXPECT_EQ(t.find("▁could"), 547);
  EXPECT_EQ(t.find("no such token"), std::nullopt);
  EXPECT_EQ(t.find("<unk>"), 0);
  EXPECT_TRUE(t.is_special(995));
  EXPECT_FALSE(t.is_special(997));
  EXPECT_FALSE(t.is_special(3));
  EXPECT_EQ(t.piece(547), "▁could");
  EXPECT_EQ(t.token_bytes(547), " could");
  const TokenId byte = *t.find("<0xE4>");
  EXPECT_TRUE(t.is_byte(byte));
  EXPECT_EQ(t.token_bytes(byte), "\xE4");
  EXPECT_EQ(decode({byte}), "\uFFFD");
  EXPECT_EQ(decode({995}), "<|im_start|>");
  EXPECT_EQ(named_token(t, "eos_token"), "</s>");
  EXPECT_EQ(named_token(t, "sep_token"), "<|end_of_sentence|>");
  EXPECT_EQ(named_token(t, "none_such"), std::nullopt);
  EXPECT_EQ(t.model_max_length(), 131072);
  for (const TokenId id : {-1, 1004, 103423, std::numeric_limits<int>::max()}) {
    EXPECT_EQ(t.token_bytes(id), "");
    EXPECT_EQ(decode({id}), "");
    EXPECT_FALSE(t.is_special(id));
  }
}

// Takes longer than the limit by orders of magnitude where time is quadratic in the text.
TEST(Tokenizer, LongTextsWithoutSeparatorsTakeLinearTime) {
  for (const std::string unit : {"a", " ", "<", "<|LOC_", "<mask:1>", "1a", "\xFF"}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_GT(encode_as_text(text).size(), 10'000u);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << unit;
  }
}

TEST(Tokenizer, EncodingEndsWhereItsLimitsEnd) {
  const Tokenizer& t = golden_tokenizer();
  for (const std::string unit : {"z", "the quick ", "1", "<|im_start|>", "\xFF"}) {
    std::string text;
    while (text.size() < 200'000) text += unit;
    const auto ids = t.encode(text, Specials::kParse);
    EXPECT_EQ(*t.encode_within(text, Specials::kParse, {ids.size()}), ids);
    EXPECT_EQ(t.encode_within(text, Specials::kParse, {ids.size() - 1}).status().code,
              Code::kTooLong);
    int asked = 0;
    const EncodeLimits limits = {std::string::npos, [&] { return ++asked < 2; }};
    EXPECT_EQ(t.encode_within(text, Specials::kParse, limits).status().code, Code::kCancelled);
    EXPECT_EQ(asked, 2) << "once it is not wanted, nothing more is asked";
  }
}

// All that ERNIE's own model files do not use.
TEST(Tokenizer, NormalisesAsSentencePieceDoes) {
  TokenizerFiles files;
  files.model = golden_text("normalizing.model");
  const auto t = Tokenizer::from_files(files).value();
  const Json cases = golden_json("normalizing_cases.json");
  ASSERT_GT(cases.as_array().size(), 200u);
  for (const Json& c : cases.as_array())
    EXPECT_EQ(t->encode(string_of(c, "text"), Specials::kAsText), ids_of(*c.find("ids")))
        << c.dump();
  EXPECT_EQ(t->least_tokens(1 << 20), 1u) << "spaces may all be dropped";
}

TokenizerFiles golden_files() {
  TokenizerFiles files;
  files.model = golden_text("tokenizer.model");
  files.added = golden_text("added_tokens.json");
  files.config = golden_text("tokenizer_config.json");
  return files;
}

TEST(TokenizerFiles, AModelAloneSplitsDigitsAndKnowsItsControlTokens) {
  TokenizerFiles files;
  files.model = golden_text("tokenizer.model");
  const auto t = Tokenizer::from_files(files).value();
  EXPECT_EQ(t->encode("</s>20", Specials::kParse), (std::vector<TokenId>{2, 5, 3}));
  EXPECT_TRUE(t->is_special(2));
  EXPECT_EQ(t->model_max_length(), std::nullopt);
  EXPECT_EQ(t->size(), 967);
}

TEST(TokenizerFiles, WithoutFlagsBracketsMakeATokenSpecial) {
  TokenizerFiles files = golden_files();
  files.config = R"({"eos_token": {"content": "</s>", "__type": "AddedToken"}})";
  const auto t = Tokenizer::from_files(files).value();
  EXPECT_TRUE(t->is_special(*t->find("<|im_start|>")));
  EXPECT_FALSE(t->is_special(*t->find("5")));
  EXPECT_EQ(named_token(*t, "eos_token"), "</s>");
}

TEST(TokenizerFiles, AMapOrAListCanMakeATokenSpecial) {
  TokenizerFiles files = golden_files();
  files.special_map = R"({"cls_token": "<s>", "mask_token": {"content": "<mask:1>"},
                          "additional_special_tokens": ["<think>", {"content": "▁could"}, "gone"]})";
  const auto t = Tokenizer::from_files(files).value();
  EXPECT_TRUE(t->is_special(997));
  EXPECT_TRUE(t->is_special(547)) << "a piece of the model becomes a token of its own";
  EXPECT_EQ(t->encode("x▁could", Specials::kParse).back(), 547);
  EXPECT_EQ(named_token(*t, "cls_token"), "<|begin_of_sentence|>") << "tokenizer_config.json wins";
}

// The id of an ordinary piece, given to a special token that contains the piece's text.
TEST(TokenizerFiles, ASpecialTokenMayTakeAPiecesIdButNotItsText) {
  const TokenId taken = golden_tokenizer().encode("could", Specials::kAsText).front();
  const std::string text(golden_tokenizer().token_bytes(taken));
  TokenizerFiles files = golden_files();
  files.added = fmt::format(R"({{"<|{}|>": {}}})", text, taken);
  const auto tokenizer = Tokenizer::from_files(files);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message;
  EXPECT_EQ((*tokenizer)->encode("<|" + text + "|>", Specials::kParse),
            std::vector<TokenId>{taken});
  const auto ids = (*tokenizer)->encode(text, Specials::kAsText);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), taken), 0);
  EXPECT_EQ((*tokenizer)->decode(ids, false), text);
}

// tokenizer_config.json as Hugging Face, trainers and copies leave it.
TEST(TokenizerFiles, WhatDoesNotMatterStopsNoStart) {
  const auto tokenizer_with = [](const std::string& config) {
    TokenizerFiles files = golden_files();
    files.config = config;
    auto tokenizer = Tokenizer::from_files(files);
    EXPECT_TRUE(tokenizer.ok()) << config << ": " << tokenizer.status().message;
    return std::move(tokenizer).value();
  };
  for (const std::string length : {"1000000000000000019884624838656", "1e999", "NaN", "Infinity",
                                   "-Infinity", "null", "-1", "\"many\"", "[]", "0"})
    EXPECT_EQ(tokenizer_with("{\"model_max_length\": " + length + "}")->model_max_length(),
              std::nullopt)
        << length;
  EXPECT_EQ(tokenizer_with("{\"model_max_length\": 131072.0}")->model_max_length(), 131072);
  for (const std::string& config :
       {std::string(), std::string("\n"), std::string("\0\0", 2), std::string("\xEF\xBB\xBF{}\n"),
        std::string(R"({"a": 1, "a": 2, "added_tokens_decoder": null, "chat_template": null})")})
    EXPECT_EQ(tokenizer_with(config)->size(), 1004) << config;
}

TEST(TokenizerFiles, APointerOfGitLfsIsToldByName) {
  const TempFolder folder;
  folder.write("tokenizer.model", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  EXPECT_THAT(Tokenizer::load(folder.path()).status().message, HasSubstr("git lfs pull"));
}

// tokenizer.model's own tokenizers know these flags, too.
TEST(TokenizerFiles, FlagsOfAddedTokensCount) {
  TokenizerFiles files = golden_files();
  files.config = R"({"added_tokens_decoder": {
      "1004": {"content": "<l>", "lstrip": true}, "1005": {"content": "<r>", "rstrip": true},
      "1006": {"content": "word", "single_word": true}}})";
  const auto t = Tokenizer::from_files(files).value();
  const auto encode = [&](const char* text) { return t->encode(text, Specials::kParse); };
  EXPECT_THAT(encode(" \t <l>"), ElementsAre(1004));
  EXPECT_THAT(encode("<r>\n\u3000<l>"), ElementsAre(1005, 1004));
  EXPECT_THAT(encode("word"), ElementsAre(1006));
  for (const char* text : {"words", "_word", "sword", "word\u0301", "\u00e9word", "word2"})
    EXPECT_THAT(encode(text), ::testing::Not(::testing::Contains(1006))) << text;
  EXPECT_EQ(t->least_tokens(1 << 20), 1u) << "a token may take any number of spaces";
}

TEST(TokenizerFiles, NoModelIsNotFound) {
  const auto missing = Tokenizer::load(kGoldens / "nowhere");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().code, Code::kNotFound);
}

TEST(TokenizerFiles, RefusesWhatIsNotATokenizer) {
  const struct {
    std::string TokenizerFiles::* file;
    std::string text;
    const char* message;
  } cases[] = {
      {&TokenizerFiles::model, "", "no pieces"},
      {&TokenizerFiles::model, "not a model", "tokenizer.model"},
      {&TokenizerFiles::added, "[1]", "added_tokens.json: expected an object"},
      {&TokenizerFiles::added, R"({"x": "1"})", "added_tokens.json: expected ids"},
      {&TokenizerFiles::added, R"({"x": -1})", "token id -1 is not in"},
      {&TokenizerFiles::added, R"({"x": 99999999999})", "is not in"},
      {&TokenizerFiles::added, R"({"": 3})", "has 0 bytes"},
      {&TokenizerFiles::added, R"({"x": 995})", "one text or one id"},
      {&TokenizerFiles::added, R"({"<think>": 2000})", "one text or one id"},
      {&TokenizerFiles::config, "{", "tokenizer_config.json"},
      {&TokenizerFiles::config, R"({"added_tokens_decoder": []})", "expected an object"},
      {&TokenizerFiles::config, R"({"added_tokens_decoder": {"5x": {"content": "a"}}})", "entry"},
      {&TokenizerFiles::config, R"({"added_tokens_decoder": {"5": {}}})", "entry"},
  };
  for (const auto& c : cases) {
    TokenizerFiles files = golden_files();
    files.*c.file = c.text;
    const auto result = Tokenizer::from_files(files);
    ASSERT_FALSE(result.ok()) << c.text;
    EXPECT_EQ(result.status().code, Code::kInvalid);
    EXPECT_THAT(result.status().message, HasSubstr(c.message));
  }
}

// A protobuf field of bytes.
std::string bytes_field(int number, std::string_view bytes) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  for (size_t n = bytes.size();; n >>= 7) {
    out += static_cast<char>((n & 0x7F) | (n > 0x7F ? 0x80 : 0));
    if (n <= 0x7F) break;
  }
  return out.append(bytes);
}

// SentencePiece itself takes such a model, and then fails on a text with that character.
TEST(TokenizerFiles, RefusesAControlPieceThatTextCanSpell) {
  const auto with_piece = [](const std::string& content) {
    TokenizerFiles files = golden_files();
    files.model += bytes_field(1, bytes_field(1, content) + std::string("\x18\x03"));
    return Tokenizer::from_files(files);
  };
  EXPECT_TRUE(with_piece("<control>").ok());
  const auto result = with_piece("\xE2\x98\x83");  // a snowman
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.status().message, HasSubstr("control piece of a single character"));
}

TEST(TokenizerFiles, RefusesTablesThatWouldBeReadBeyondTheirEnd) {
  const auto status_with = [](const std::string& charsmap) {
    TokenizerFiles files = golden_files();
    files.model += bytes_field(3, bytes_field(2, charsmap));  // joins the normaliser's description
    return Tokenizer::from_files(files);
  };
  std::string empty_array = {0, 4, 0, 0};  // 256 units without children, one empty text
  empty_array.append(1024, '\0').append("\0", 1);
  EXPECT_TRUE(status_with(empty_array).ok());

  std::string far_root = empty_array;  // the root's children lie beyond the array
  far_root[6] = '\x7F';
  std::string far_value = empty_array;  // 'a' is normalised to a text that does not exist
  far_value[5] = 1;
  far_value[4 + 3] = 0;
  far_value[4] = '\x70';
  std::string short_block = {0, 2, 0, 0};  // only half of the root's children exist
  short_block.append(512, '\0').append("\0", 1);
  std::string cut = empty_array.substr(0, 900);
  std::string no_end = empty_array;
  no_end.back() = 'x';
  const std::string no_array = {0, 0, 0, 0, 0};
  for (const std::string& map :
       {far_root, far_value, short_block, cut, no_end, no_array, std::string("ab")}) {
    const auto result = status_with(map);
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.status().message, HasSubstr("normalisation table"));
  }
}

TEST(TokenizerFiles, DamagedModelsAreRefusedOrWork) {
  std::mt19937 random(3);
  const TokenizerFiles good = golden_files();
  int num_refused = 0;
  for (int i = 0; i < 400; ++i) {
    TokenizerFiles files = good;
    if (i % 2 == 0) {
      files.model.resize(random() % files.model.size());
    } else {
      for (int flips = 0; flips < 3; ++flips)
        files.model[random() % files.model.size()] ^= static_cast<char>(1 + random() % 255);
    }
    const auto result = Tokenizer::from_files(files);
    num_refused += !result.ok();
    if (result.ok()) (*result)->decode((*result)->encode("a 中 42", Specials::kAsText), false);
  }
  EXPECT_GT(num_refused, 200);
}

}  // namespace
}  // namespace erne::text
