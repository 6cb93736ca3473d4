#include "server/parsers/tag_style.h"

#include <gtest/gtest.h>

#include "text/text_goldens.h"

namespace erne::server {
namespace {

TEST(TagStyle, FollowsFromTheTemplate) {
  const auto automatic = [](std::string_view text) {
    return tag_style("auto", "auto", text).value();
  };
  EXPECT_EQ(automatic(text::golden_text("text.jinja")), TagStyle{});
  EXPECT_EQ(automatic(text::golden_text("vl.jinja")), (TagStyle{.thoughts = true}));
  EXPECT_EQ(automatic(text::golden_text("thinking.jinja")), (TagStyle{true, true, true}));
}

TEST(TagStyle, APartOfItCanBeNamed) {
  const std::string all = text::golden_text("thinking.jinja");
  EXPECT_EQ(tag_style("ernie-x1", "ernie_x1", "").value(), (TagStyle{true, true, true}));
  EXPECT_EQ(tag_style("ernie_45_vl_thinking", "none", all).value(), (TagStyle{.thoughts = true}));
  EXPECT_EQ(tag_style("none", "auto", all).value(), (TagStyle{.calls = true}));
  EXPECT_FALSE(tag_style("qwen3", "auto", "").ok());
  EXPECT_FALSE(tag_style("auto", "hermes", "").ok());
  EXPECT_FALSE(tag_style("auto", "ernie-45-vl", "").ok()) << "that model calls no tools";
}

TEST(BeginsInThought, TheLastTagSays) {
  const text::Tokenizer& tokenizer = text::golden_tokenizer();
  const auto begins = [&](std::string_view prompt) {
    return begins_in_thought(tokenizer.encode(prompt, text::Specials::kParse), tokenizer);
  };
  EXPECT_TRUE(begins("Assistant: <think>\n"));
  EXPECT_FALSE(begins("Assistant: <think>\n\n</think>\n\n"));
  EXPECT_TRUE(begins("a</think>b<think>"));
  EXPECT_TRUE(begins("Assistant: "));
}

}  // namespace
}  // namespace erne::server
