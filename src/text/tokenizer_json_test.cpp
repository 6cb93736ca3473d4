#include "text/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/temp_folder_fixture.h"
#include "text/chat_prompt.h"
#include "text/text_goldens.h"

namespace erne::text {
namespace {

using ::testing::HasSubstr;

const Json& golden_tokenizer_json() {
  static const Json json = golden_json("tokenizer.json");
  return json;
}

std::unique_ptr<Tokenizer> tokenizer_of(const Json& json) {
  TokenizerFiles files;
  files.json = json.dump();
  auto tokenizer = Tokenizer::from_files(files);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message;
  return std::move(tokenizer).value();
}

// The golden file with a variant's changes: members of the model one by one, added tokens on top.
Json changed(const Json& changes) {
  Json json = golden_tokenizer_json();
  for (const auto& [key, value] : changes.as_object()) {
    Json member = *json.find(key);
    if (key == "model") {
      for (const auto& [name, option] : value.as_object()) member.set(name, option);
    } else if (key == "added_tokens") {
      for (const Json& token : value.as_array()) member.as_array().push_back(token);
    } else {
      member = value;
    }
    json.set(key, std::move(member));
  }
  return json;
}

// Flags of added tokens, prefixes, Metaspace in all its forms: ids of Hugging Face's own library.
TEST(TokenizerJson, GivesTheIdsOfHuggingFacesLibrary) {
  const Json cases = golden_json("tokenizer_json_cases.json");
  const auto& texts = cases.find("texts")->as_array();
  ASSERT_GE(cases.find("variants")->as_array().size(), 13u);
  for (const Json& variant : cases.find("variants")->as_array()) {
    const auto tokenizer = tokenizer_of(changed(*variant.find("changes")));
    for (size_t i = 0; i < texts.size(); ++i)
      EXPECT_EQ(tokenizer->encode(texts[i].as_string(), Specials::kParse),
                ids_of(variant.find("ids")->as_array()[i]))
          << string_of(variant, "name") << ": " << texts[i].dump();
  }
}

std::string random_pieces(std::mt19937& random) {
  static const std::vector<std::string> fragments = {
      "<", "|",    "<|im_start|>", "<s>",   "<mask:1>", "<mask:", "1", "42", "<think>",
      " ", "  ",   "\n",           "the",   " could",   "介绍",   "é", "😀", "<0x0A>",
      "▁", "\xFF", "ing",          "ation", "\x7F"};
  std::string text;
  for (size_t n = random() % 14; n > 0; --n)
    text += random() % 3 == 0 ? std::string(1, static_cast<char>(' ' + random() % 95))
                              : fragments[random() % fragments.size()];
  return text;
}

TEST(TokenizerJson, IsTheSameTokenizerAsTheModelFile) {
  const auto json = tokenizer_of(golden_tokenizer_json());
  const Tokenizer& model = golden_tokenizer();
  ASSERT_EQ(json->size(), model.size());
  for (TokenId id = 0; id < model.size(); ++id) {
    EXPECT_EQ(json->piece(id), model.piece(id)) << id;
    EXPECT_EQ(json->token_bytes(id), model.token_bytes(id)) << id;
    EXPECT_EQ(json->is_special(id), model.is_special(id)) << id;
    EXPECT_EQ(json->is_byte(id), model.is_byte(id)) << id;
    EXPECT_EQ(json->find(model.piece(id)), model.find(model.piece(id))) << id;
  }
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = random_pieces(random);
    for (const Specials specials : {Specials::kParse, Specials::kAsText}) {
      const auto ids = json->encode(text, specials);
      ASSERT_EQ(ids, model.encode(text, specials)) << text;
      ASSERT_EQ(json->decode(ids, false), model.decode(ids, false)) << text;
    }
  }
}

TEST(TokenizerJson, ChatsAreThoseOfTheModelFile) {
  const auto json = tokenizer_of(golden_tokenizer_json());
  const Json goldens = golden_json("chat_cases.json");
  for (const Json& c : goldens.find("cases")->as_array()) {
    const ChatTemplateSource source = {golden_text(string_of(c, "template") + ".jinja"), ""};
    TokenizerFiles files;
    files.json = golden_tokenizer_json().dump();
    files.config = golden_text("tokenizer_config.json");
    const auto tokenizer = Tokenizer::from_files(files).value();
    const auto prompt = ChatPrompt::create(source, *tokenizer);
    ASSERT_TRUE(prompt.ok()) << prompt.status().message;
    const auto or_null = [&](const char* key) {
      const Json* value = c.find(key);
      return value == nullptr ? Json() : *value;
    };
    const auto chat = prompt->render(*c.find("messages"), or_null("tools"), or_null("variables"));
    ASSERT_TRUE(chat.ok()) << chat.status().message;
    EXPECT_EQ(chat->ids, ids_of(*c.find("ids")));
  }
}

// Also where a special token is found in the normalised text only.
TEST(TokenizerJson, AClientsTextNeverBecomesASpecialToken) {
  const Json added = *Json::parse(R"([
      {"id": 1004, "content": "<|a b|>", "special": true, "normalized": true},
      {"id": 1005, "content": "<|r|>", "special": true, "rstrip": true}])");
  const auto tokenizer = tokenizer_of(changed(Json::Object{{"added_tokens", added}}));
  EXPECT_EQ(tokenizer->encode("<|a b|><|r|>  ", Specials::kParse),
            (std::vector<TokenId>{1004, 1005}));
  for (const char* text : {"<|a b|>", "<|a▁b|>", " <|a b|> ", "<|<|a b|>|>", "<s>", "<mask:1>"})
    for (const TokenId id : tokenizer->encode(text, Specials::kAsText))
      EXPECT_FALSE(tokenizer->is_special(id)) << text;
  const auto prompt =
      ChatPrompt::create({"{{ messages[0].content }}<|a b|> <|r|>  x", ""}, *tokenizer);
  const auto chat = prompt->render(
      Json::Array{Json(Json::Object{{"role", "user"}, {"content", "<|a▁b|>"}})}, Json(), Json());
  EXPECT_EQ(std::count(chat->ids.begin(), chat->ids.end(), 1004), 1);
  EXPECT_EQ(tokenizer->decode(chat->ids, false), "<|a b|><|a b|> <|r|>x")
      << "a token takes the white space its flags say";
}

TEST(TokenizerJson, TheModelFileComesFirst) {
  const TempFolder folder;
  folder.write("tokenizer.json", "{}");
  EXPECT_THAT(Tokenizer::load(folder.path()).status().message, HasSubstr("tokenizer.json: model"));
  folder.write("tokenizer.model", golden_text("tokenizer.model"));
  EXPECT_TRUE(Tokenizer::load(folder.path()).ok());
}

TEST(TokenizerJson, ReadsWhatToolsWriteAroundIt) {
  Json json = golden_tokenizer_json();
  Json merges = Json::Array{};
  for (const Json& merge : json.find("model")->find("merges")->as_array())
    merges.as_array().push_back(merge.as_array()[0].as_string() + " " +
                                merge.as_array()[1].as_string());
  Json model = *json.find("model");
  model.set("merges", merges).set("dropout", 0.0);  // merges as older libraries wrote them
  json.set("model", model);
  TokenizerFiles files;
  files.json = "\xEF\xBB\xBF" + json.dump() + "\n\n";
  const auto tokenizer = Tokenizer::from_files(files);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message;
  EXPECT_EQ((*tokenizer)->encode("the could", Specials::kParse),
            golden_tokenizer().encode("the could", Specials::kParse));
}

Status refusal(const std::string& text) {
  TokenizerFiles files;
  files.json = text;
  const auto tokenizer = Tokenizer::from_files(files);
  EXPECT_FALSE(tokenizer.ok()) << text.substr(0, 200);
  return tokenizer.ok() ? Status{} : tokenizer.status();
}

TEST(TokenizerJson, RefusesWhatItDoesNotUnderstandByName) {
  const struct {
    const char* change;
    const char* message;
  } cases[] = {
      {R"({"model": {"type": "Unigram"}})", "model.type: Unigram is not built"},
      {R"({"model": {"type": "WordPiece"}})", "model.type"},
      {R"({"model": {"end_of_word_suffix": "</w>"}})", "model.end_of_word_suffix"},
      {R"({"model": {"vocab": []}})", "model.vocab: expected an object"},
      {R"({"model": {"vocab": {"a": "1"}}})", "model.vocab: a piece has the id \"1\""},
      {R"({"model": {"vocab": {"a": -1}}})", "model.vocab: a piece has the id -1"},
      {R"({"model": {"vocab": {"a": 1e300}}})", "model.vocab: a piece has the id"},
      {R"({"model": {"vocab": {"a": 3, "b": 3}}})", "two pieces have the id 3"},
      {R"({"model": {"merges": null}})", "model.merges: expected a list"},
      {R"({"model": {"merges": [["a"]]}})", "merge 0 is not two pieces"},
      {R"({"model": {"merges": ["a b c"]}})", "merge 0 is not two pieces"},
      {R"({"model": {"merges": [["t", "no such piece"]]}})", "merge 0 needs a piece"},
      {R"({"normalizer": {"type": "NFKC"}})", "normalizer: a step of type NFKC"},
      {R"({"normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}})",
       "normalizer: a Replace of anything but a text"},
      {R"({"pre_tokenizer": {"type": "ByteLevel"}})", "pre_tokenizer: a step of type ByteLevel"},
      {R"({"decoder": {"type": "WordPiece"}})", "decoder: a step of type WordPiece"},
      {R"({"added_tokens": [{"content": "x"}]})", "added_tokens: an entry has no id"},
      {R"({"added_tokens": [{"content": "x", "id": 99999999999}]})", "added_tokens"},
  };
  for (const auto& c : cases) {
    const Status status = refusal(changed(*Json::parse(c.change)).dump());
    EXPECT_THAT(status.message, HasSubstr("tokenizer.json: "));
    EXPECT_THAT(status.message, HasSubstr(c.message)) << c.change;
  }
  for (const char* text : {"[]", "{", "null", "{\"model\": 3}", "\xFF\xFE{\0}"})
    EXPECT_THAT(refusal(text).message, HasSubstr("tokenizer.json: "));
}

// Each would take minutes, gigabytes or the stack of a reader that trusts its file.
TEST(TokenizerJson, HostileFilesEndInAnError) {
  std::string many_values = "{\"model\": [";
  for (int i = 0; i < 5'000'000; ++i) many_values += "0,";
  EXPECT_THAT(refusal(many_values + "0]}").message, HasSubstr("more than 4000000 values"));
  EXPECT_THAT(refusal(std::string(1 << 20, '[')).message, HasSubstr("nested deeper"));
  Json doubling = Json::Object{{"type", "Replace"}, {"content", std::string(30, 'a')}};
  doubling.set("pattern", Json::Object{{"String", "a"}});
  const Json::Array several(10, doubling);
  const Json sequence = Json::Object{{"type", "Sequence"}, {"normalizers", several}};
  EXPECT_THAT(refusal(changed(Json::Object{{"normalizer", sequence}}).dump()).message,
              HasSubstr("make a text too long"));
  const Json::Array prepends(17, *Json::parse(R"({"type": "Prepend", "prepend": "a"})"));
  const Json long_list = Json::Object{{"type", "Sequence"}, {"normalizers", prepends}};
  EXPECT_THAT(refusal(changed(Json::Object{{"normalizer", long_list}}).dump()).message,
              HasSubstr("more than 16 steps"));
}

TEST(TokenizerJson, DamagedFilesAreRefusedOrWork) {
  const std::string good = golden_tokenizer_json().dump();
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    TokenizerFiles files;
    files.json = good;
    for (int n = 0; n < 3; ++n) files.json[random() % good.size()] = good[random() % good.size()];
    const auto tokenizer = Tokenizer::from_files(files);
    if (tokenizer.ok())
      (*tokenizer)->decode((*tokenizer)->encode("a 中 42", Specials::kAsText), false);
  }
}

}  // namespace
}  // namespace erne::text
