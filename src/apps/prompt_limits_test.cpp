#include "apps/prompt_limits.h"

#include <gtest/gtest.h>

namespace erne::apps {
namespace {

struct Case {
  ServeOptions options;
  sched::Limits limits{.max_model_len = 1000};

  std::string refusal() {
    const Result<void> chosen = choose_prompt_limits(options, limits);
    return chosen.ok() ? "none" : chosen.status().param + ": " + chosen.status().message;
  }
  void expect_refusal_names(const std::string& flag, const std::string& what) {
    const std::string text = refusal();
    EXPECT_TRUE(text.starts_with(flag + ":")) << text;
    EXPECT_NE(text.find(what), std::string::npos) << text;
  }
};

TEST(PromptLimits, ByDefaultOneLongPromptIsUnderWayAndAnyNumberOfShortOnes) {
  Case c;
  EXPECT_EQ(c.refusal(), "none");
  EXPECT_EQ(c.limits.max_partial_prompts, c.options.max_num_seqs);
  EXPECT_EQ(c.limits.max_long_prompts, 1);
  EXPECT_EQ(c.limits.long_prompt, 40);
  c.limits.max_model_len = 10;
  EXPECT_EQ(c.refusal(), "none");
  EXPECT_EQ(c.limits.long_prompt, 1);
}

TEST(PromptLimits, AreWhatTheFlagsSay) {
  Case c;
  c.options.max_num_partial_prefills = 4;
  c.options.max_long_partial_prefills = 2;
  c.options.long_prefill_token_threshold = 999;
  EXPECT_EQ(c.refusal(), "none");
  EXPECT_EQ(c.limits.max_partial_prompts, 4);
  EXPECT_EQ(c.limits.max_long_prompts, 2);
  EXPECT_EQ(c.limits.long_prompt, 999);
}

TEST(PromptLimits, RefuseWhatContradictsItself) {
  Case c;
  c.options.max_num_partial_prefills = 2;
  c.options.max_long_partial_prefills = 3;
  c.expect_refusal_names("--max-long-partial-prefills", "at most 2");
  c.options.max_num_partial_prefills = 0;
  c.options.max_num_seqs = 2;
  c.expect_refusal_names("--max-long-partial-prefills", "--max-num-seqs");
  c = {};
  c.options.long_prefill_token_threshold = 1000;
  c.expect_refusal_names("--long-prefill-token-threshold", "1000");
  c = {};
  c.options.max_num_partial_prefills = 2;
  c.options.enable_chunked_prefill = false;
  c.expect_refusal_names("--max-num-partial-prefills", "chunked prefill");
  c.options.max_num_partial_prefills = 1;
  EXPECT_EQ(c.refusal(), "none");
}

}  // namespace
}  // namespace erne::apps
