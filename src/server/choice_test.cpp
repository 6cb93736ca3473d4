#include "server/choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/logprobs_json.h"
#include "text/text_goldens.h"

namespace erne::server {
namespace {

using sched::FinishReason;
using ::testing::ElementsAre;

constexpr TokenId kEos = 2;
const std::vector<TokenId> kEosIds = {kEos};

using text::golden_tokenizer;

std::vector<TokenId> tokens(std::string_view text) {
  return golden_tokenizer().encode(text, text::Specials::kAsText);
}

GenerationRequest asked() {
  GenerationRequest request(Endpoint::kCompletions, {});
  request.return_token_ids = true;
  return request;
}

sched::TokenEvent event(std::vector<TokenId> ids, std::optional<FinishReason> finish = {}) {
  sched::TokenEvent out;
  out.tokens = std::move(ids);
  out.finish = finish;
  for (const TokenId id : out.tokens)
    out.logprobs.push_back({{id, -1.0f}, {{id + 1, -0.5f}, {id, -1.0f}}});
  return out;
}

// Feeds `ids` cut into events of `per_event` tokens, and joins what comes out.
Delta run(const GenerationRequest& request, const std::vector<TokenId>& ids, size_t per_event,
          FinishReason finish) {
  const PreparedPrompt prompt;
  Choice choice(request, prompt, kEosIds, &golden_tokenizer());
  Delta all;
  for (size_t i = 0; i < ids.size() && !choice.finished(); i += per_event) {
    const size_t end = std::min(i + per_event, ids.size());
    choice.push(event({ids.begin() + i, ids.begin() + end},
                      end == ids.size() ? std::optional(finish) : std::nullopt));
    all.append(choice.take());
  }
  return all;
}

TEST(Choice, SaysTheSameHoweverTheEngineCutsIt) {
  GenerationRequest request = asked();
  std::vector<TokenId> ids = tokens("First 42, then 你好😀, then STOP and more");
  ids.push_back(kEos);
  for (size_t per_event = 1; per_event <= ids.size(); ++per_event) {
    request.stop = {};
    Delta all = run(request, ids, per_event, FinishReason::kStop);
    EXPECT_EQ(all.content, "First 42, then 你好😀, then STOP and more");
    EXPECT_EQ(all.token_ids, ids);
    EXPECT_EQ(all.finish, Finish::kStop);
    request.stop = {"STOP"};
    all = run(request, ids, per_event, FinishReason::kStop);
    EXPECT_EQ(all.content, "First 42, then 你好😀, then ");
    EXPECT_LT(all.token_ids.size(), ids.size());
    EXPECT_EQ(all.finish, Finish::kStop);
  }
}

TEST(Choice, TextHeldBackForAStopStringComesOutAtTheEnd) {
  GenerationRequest request = asked();
  request.stop = {"STOPPED"};
  const Delta all = run(request, tokens("then STOP"), 1, FinishReason::kLength);
  EXPECT_EQ(all.content, "then STOP");
  EXPECT_EQ(all.finish, Finish::kLength);
}

TEST(Choice, AStopStringInTheLastTokenIsAStop) {
  GenerationRequest request = asked();
  request.stop = {"P"};
  EXPECT_EQ(run(request, tokens("STOP"), 1, FinishReason::kLength).finish, Finish::kStop);
}

TEST(Choice, EventsAfterTheEndAreIgnored) {
  const PreparedPrompt prompt;
  const GenerationRequest request = asked();
  Choice choice(request, prompt, kEosIds, &golden_tokenizer());
  choice.push(event({3}, FinishReason::kLength));
  choice.push(event({4}, FinishReason::kStop));
  EXPECT_THAT(choice.take().token_ids, ElementsAre(3));
  EXPECT_EQ(choice.num_generated(), 1);
}

TEST(Choice, EchoedPromptsAreScoredOverManyEvents) {
  GenerationRequest request = asked();
  request.echo = true;
  request.output_scores = 1;
  const PreparedPrompt prompt{{3, 4, 5}, "012", {0, 1, 2}};
  Choice choice(request, prompt, kEosIds, &golden_tokenizer());
  sched::TokenEvent first;
  first.prompt_logprobs = {{{4, -0.25f}, {{4, -0.25f}, {9, -2.0f}}}};
  choice.push(first);
  EXPECT_TRUE(choice.take().empty());
  sched::TokenEvent second = event({6}, FinishReason::kLength);
  second.prompt_logprobs = {{{5, -3.0f}, {{7, -0.1f}}}};
  choice.push(second);
  const Delta delta = choice.take();
  EXPECT_EQ(delta.content, "0123");
  ASSERT_EQ(delta.scores.size(), 4u);
  EXPECT_FALSE(delta.scores[0].logprob);
  EXPECT_EQ(delta.scores[1].logprob, -0.25f);
  EXPECT_EQ(delta.scores[1].top.size(), 1u);
  EXPECT_EQ(delta.scores[2].logprob, -3.0f);
  EXPECT_EQ(delta.scores[3].id, 6);
  EXPECT_EQ(delta.scores[3].text_offset, 3);
}

TEST(Choice, OffsetsCountCharactersNotBytes) {
  GenerationRequest request = asked();
  request.output_scores = 0;
  const PreparedPrompt prompt;
  Choice choice(request, prompt, kEosIds, &golden_tokenizer());
  choice.push(event(tokens("你😀1"), FinishReason::kLength));
  std::vector<int64_t> offsets;
  for (const ScoredToken& token : choice.take().scores) offsets.push_back(token.text_offset);
  EXPECT_THAT(offsets, ElementsAre(0, 1, 1, 1, 1, 2));  // the emoji is four byte tokens
}

// A parser that tells all a delta's texts apart: "[...]" is thought, "{...}" a call, the rest is
// said. Holds back what is open.
class ScriptedParser final : public DeltaParser {
 public:
  Delta push(std::string_view text) override {
    Delta out;
    for (const char c : text) {
      if (c == '[' || c == '{') {
        open_ = c;
      } else if (c == ']' || c == '}') {
        close(out);
      } else if (open_) {
        held_ += c;
      } else {
        out.content += c;
      }
    }
    return out;
  }
  Delta finish() override {
    Delta out;
    out.content = std::exchange(held_, {});
    return out;
  }

 private:
  void close(Delta& out) {
    if (open_ == '[')
      out.reasoning = std::exchange(held_, {});
    else
      out.tool_calls.push_back({num_calls_++, "call-1", "f", std::exchange(held_, {})});
    open_ = 0;
  }
  char open_ = 0;
  std::string held_;
  int num_calls_ = 0;
};

Delta run_parsed(std::string_view text, const std::vector<std::string>& stop, size_t per_event) {
  GenerationRequest request(Endpoint::kChat, {});
  request.stop = stop;
  const PreparedPrompt prompt;
  Choice choice(request, prompt, kEosIds, &golden_tokenizer(), std::make_unique<ScriptedParser>());
  std::vector<TokenId> ids = tokens(text);
  ids.push_back(kEos);
  Delta all;
  for (size_t i = 0; i < ids.size() && !choice.finished(); i += per_event) {
    const size_t end = std::min(i + per_event, ids.size());
    choice.push(event({ids.begin() + i, ids.begin() + end},
                      end == ids.size() ? std::optional(FinishReason::kStop) : std::nullopt));
    all.append(choice.take());
  }
  return all;
}

TEST(Choice, AParserStandsBetweenDetokenizerAndStopStrings) {
  for (size_t per_event = 1; per_event < 40; ++per_event) {
    Delta all = run_parsed("[STOP is a thought]said {STOP}more", {"STOP"}, per_event);
    EXPECT_EQ(all.reasoning, "STOP is a thought");
    EXPECT_EQ(all.content, "said more");
    ASSERT_EQ(all.tool_calls.size(), 1u);
    EXPECT_EQ(all.tool_calls[0].arguments, "STOP");
    EXPECT_EQ(all.finish, Finish::kToolCalls);
    // A stop string ends the answer, even one that a thought lies in.
    all = run_parsed("[thought]said ST[more]OP and not this", {"STOP"}, per_event);
    EXPECT_EQ(all.content, "said ");
    EXPECT_EQ(all.finish, Finish::kStop);
    all = run_parsed("said [never closed", {"STOP"}, per_event);
    EXPECT_EQ(all.content, "said never closed");
    EXPECT_EQ(all.reasoning, "");
  }
}

TEST(Delta, EveryMemberIsSummedUpAndCounts) {
  Delta all;
  EXPECT_TRUE(all.empty());
  const auto with = [](const auto& set) {
    Delta delta;
    set(delta);
    EXPECT_FALSE(delta.empty());
    return delta;
  };
  const auto append = [&](const auto& set) { all.append(with(set)); };
  for (int i = 0; i < 2; ++i) {
    append([](Delta& d) { d.reasoning = "r"; });
    append([](Delta& d) { d.content = "c"; });
    append([](Delta& d) { d.tool_calls = {{0, "", "", "a"}, {1, "", "", "b"}}; });
    append([](Delta& d) { d.token_ids = {1}; });
    append([](Delta& d) { d.scores = {{}}; });
    append([](Delta& d) { d.prompt_scores = {{}}; });
    append([](Delta& d) { d.stop = "s"; });
    append([](Delta& d) { d.finish = Finish::kLength; });
  }
  EXPECT_EQ(all.reasoning, "rr");
  EXPECT_EQ(all.content, "cc");
  ASSERT_EQ(all.tool_calls.size(), 2u);  // of one index: one call
  EXPECT_EQ(all.tool_calls[0].arguments, "aa");
  EXPECT_EQ(all.tool_calls[1].arguments, "bb");
  EXPECT_THAT(all.token_ids, ElementsAre(1, 1));
  EXPECT_EQ(all.scores.size(), 2u);
  EXPECT_EQ(all.prompt_scores.size(), 2u);
  EXPECT_EQ(all.stop, "ss");
  EXPECT_EQ(all.finish, Finish::kLength);
}

// Scores are written down at once.
Json as_read(const Json& written) {
  return Json::parse(written.dump()).value();
}

// lm-eval calls a token greedy when its score is the largest of top_logprobs: the best must be
// there, as the same number.
TEST(LogprobsJson, TheBestTokenIsNeverLost) {
  const TokenNames names(&golden_tokenizer(), false);
  // The byte piece of "1" reads like the token "1".
  const TokenId digit = golden_tokenizer().find("1").value();
  const TokenId byte = golden_tokenizer().find("<0x31>").value();
  ASSERT_EQ(names.name(digit), names.name(byte));
  const ScoredToken token{.id = digit, .logprob = -2.5f, .top = {{byte, -0.1f}}, .text_offset = 0};
  const Json json = as_read(completion_logprobs({token}, names));
  EXPECT_EQ(json.find("top_logprobs")->as_array()[0].dump(),
            Json(Json::Object{{"1", Json(double{-0.1f})}, {TokenNames::id_name(digit), Json(-2.5)}})
                .dump());
  const ScoredToken best{.id = digit, .logprob = -0.3f, .top = {{digit, -0.3f}}, .text_offset = 0};
  const Json same = as_read(completion_logprobs({best}, names));
  EXPECT_EQ(same.find("token_logprobs")->as_array()[0],
            same.find("top_logprobs")->as_array()[0].as_object()[0].second);
}

TEST(LogprobsJson, ImpossibleTokensHaveANumber) {
  const TokenNames names(&golden_tokenizer(), false);
  const ScoredToken token{
      .id = 3, .logprob = -std::numeric_limits<float>::infinity(), .top = {}, .text_offset = 0};
  const Json json = as_read(chat_logprobs({token}, names));
  EXPECT_EQ(json.find("content")->as_array()[0].find("logprob")->dump(), "-9999.0");
}

}  // namespace
}  // namespace erne::server
