#include "bench/prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/temp_folder_fixture.h"

namespace erne::bench {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& file_text, Endpoint endpoint, int num_prompts = 1) {
  const TempFolder folder;
  folder.write("prompts.jsonl", file_text);
  const auto prompts = read_prompts(folder.file("prompts.jsonl"), endpoint, num_prompts, 8);
  return prompts.ok() ? "accepted" : prompts.status().message;
}

TEST(RandomPrompts, HaveTheAskedLengthAndStayInsideTheVocabulary) {
  const RandomPrompts options{Endpoint::kCompletions, 20, 300, 7, 1000, 5};
  const auto prompts = random_prompts(options);
  ASSERT_EQ(prompts.size(), 20u);
  std::set<int64_t> first_ids;
  for (const Prompt& prompt : prompts) {
    EXPECT_EQ(prompt.output_tokens, 7);
    ASSERT_EQ(prompt.content.as_array().size(), 300u);
    first_ids.insert(prompt.content.as_array()[0].as_int());
    for (const Json& id : prompt.content.as_array()) {
      EXPECT_GE(id.as_int(), 50);
      EXPECT_LT(id.as_int(), 950);
    }
  }
  EXPECT_GT(first_ids.size(), 10u);  // no shared prefixes
}

TEST(RandomPrompts, DependOnTheSeedAlone) {
  RandomPrompts options{Endpoint::kCompletions, 2, 16, 1, 1000, 5};
  const auto once = random_prompts(options), again = random_prompts(options);
  EXPECT_EQ(once[1].content, again[1].content);
  options.seed = 6;
  EXPECT_NE(once[1].content, random_prompts(options)[1].content);
}

TEST(RandomPrompts, OfChatAreDigits) {
  const auto prompts = random_prompts({Endpoint::kChat, 1, 50, 1, 0, 5});
  const Json& message = prompts[0].content.as_array().at(0);
  EXPECT_EQ(message.find("role")->as_string(), "user");
  const std::string& text = message.find("content")->as_string();
  EXPECT_EQ(text.size(), 50u);
  EXPECT_EQ(text.find_first_not_of("0123456789"), std::string::npos);
}

TEST(ReadPrompts, TakesTextIdsAndMessages) {
  const TempFolder folder;
  folder.write("prompts.jsonl",
               "{\"prompt\": \"hello\"}\n\n{\"prompt\": [1, 2], \"output_len\": 3}\r\n"
               "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n");
  const auto completions = read_prompts(folder.file("prompts.jsonl"), Endpoint::kCompletions, 2, 8);
  ASSERT_TRUE(completions.ok()) << completions.status().message;
  EXPECT_EQ((*completions)[0].content.as_string(), "hello");
  EXPECT_EQ((*completions)[0].output_tokens, 8);
  EXPECT_EQ((*completions)[1].content.dump(), "[1,2]");
  EXPECT_EQ((*completions)[1].output_tokens, 3);

  const auto chat = read_prompts(folder.file("prompts.jsonl"), Endpoint::kChat, 1, 8);
  ASSERT_TRUE(chat.ok());
  EXPECT_EQ((*chat)[0].content.dump(), R"([{"role":"user","content":"hello"}])");
}

TEST(ReadPrompts, RefusesNamingTheLine) {
  EXPECT_THAT(refusal("{\"prompt\": \"a\"}\nnonsense\n", Endpoint::kCompletions, 2),
              HasSubstr("line 2"));
  EXPECT_THAT(refusal("[1]\n", Endpoint::kCompletions), HasSubstr("of type array, not an object"));
  EXPECT_THAT(refusal("{\"prompt\": [1, -1]}\n", Endpoint::kCompletions), HasSubstr("token ids"));
  EXPECT_THAT(refusal("{\"prompt\": []}\n", Endpoint::kCompletions), HasSubstr("token ids"));
  EXPECT_THAT(refusal("{\"prompt\": [1]}\n", Endpoint::kChat), HasSubstr("for chat"));
  EXPECT_THAT(refusal("{\"prompt\": \"a\", \"output_len\": 0}\n", Endpoint::kCompletions),
              HasSubstr("output_len"));
  EXPECT_THAT(refusal("{\"prompt\": \"a\"}\n", Endpoint::kCompletions, 2),
              HasSubstr("has 1 prompts, --num-prompts asks for 2"));
  EXPECT_FALSE(read_prompts("/does/not/exist", Endpoint::kChat, 1, 8).ok());
}

TEST(ParseEndpoint, RefusesOthers) {
  EXPECT_EQ(*parse_endpoint("/v1/completions"), Endpoint::kCompletions);
  EXPECT_EQ(*parse_endpoint("/v1/chat/completions"), Endpoint::kChat);
  EXPECT_FALSE(parse_endpoint("/v1/models").ok());
}

}  // namespace
}  // namespace erne::bench
