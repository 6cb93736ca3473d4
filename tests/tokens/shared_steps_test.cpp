// What one client asks for must not hold up another: counted in steps of a real model, not in
// seconds.
#include <gtest/gtest.h>

#include <algorithm>

#include "tokens/small_server.h"

namespace erne::tests {
namespace {

constexpr int kLongPrompt = 2000, kMostScored = 64;

Setting roomy_setting() {
  Setting s;
  s.isa = cpu::best_cpu_isa();
  s.max_rows = 4;
  s.max_tokens = 512;
  s.model_len = 3000;
  s.num_blocks = 4 * s.least_blocks();
  return s;
}

sched::Request request_of(int prompt_tokens, int max_new_tokens) {
  std::mt19937 random(prompt_tokens);
  sched::Request request;
  for (int i = 0; i < prompt_tokens; ++i) request.prompt.push_back(random() % kVocabulary);
  request.sampling.temperature = 0;
  request.stop.max_new_tokens = max_new_tokens;
  return request;
}

// What a request has received so far.
class Listener {
 public:
  Listener(SmallServer& server, sched::Request request) {
    engine::EngineClient& client = server.engine().client();
    request.id = client.next_id();
    stream_ = client.submit(std::move(request), [] {}).value();
  }
  // Returns how many tokens have come since the last call.
  int listen() {
    const size_t before = tokens.size();
    while (const auto event = stream_->next()) {
      const sched::TokenEvent& e = event->event;
      tokens.insert(tokens.end(), e.tokens.begin(), e.tokens.end());
      most_scored = std::max(most_scored, static_cast<int>(e.prompt_logprobs.size()));
      for (const sched::PositionLogprobs& p : e.prompt_logprobs) {
        scores.push_back(p.chosen.logprob);
        for (const sched::TokenLogprob& top : p.top) scores.push_back(top.logprob);
      }
      ended |= e.finish.has_value();
    }
    return static_cast<int>(tokens.size() - before);
  }

  Tokens tokens;
  std::vector<float> scores;
  int most_scored = 0;  // in one step
  bool ended = false;

 private:
  std::shared_ptr<engine::TokenStream> stream_;
};

sched::Request scored_request() {
  sched::Request request = request_of(kLongPrompt, 1);
  request.sampling.prompt_logprobs = 20;
  return request;
}

TEST(SharedSteps, ScoringALongPromptLeavesADecoderATokenInEveryStep) {
  SmallServer server(roomy_setting());
  Listener decoder(server, request_of(10, 200));
  server.engine().step();
  EXPECT_EQ(decoder.listen(), 1);
  Listener scored(server, scored_request());
  int steps = 0;
  for (; !scored.ended; ++steps) {
    ASSERT_LT(steps, 100);
    server.engine().step();
    EXPECT_EQ(decoder.listen(), 1) << "step " << steps;
    scored.listen();
  }
  EXPECT_LE(scored.most_scored, kMostScored);
  EXPECT_LE(steps, kLongPrompt / kMostScored + 2);
  EXPECT_EQ(scored.scores.size(), 21u * (kLongPrompt - 1));

  // And however it was cut, the scores are those of the prompt alone.
  Setting alone = roomy_setting();
  alone.max_rows = 1;
  alone.max_tokens = 2048;
  alone.chunk_prompts = false;
  SmallServer other(alone);
  Listener whole(other, scored_request());
  while (other.engine().step()) {
  }
  whole.listen();
  EXPECT_EQ(whole.most_scored, kLongPrompt - 1);
  EXPECT_EQ(whole.scores, scored.scores);
}

TEST(SharedSteps, ManyChoicesLeaveAnotherQuestionARow) {
  SmallServer server(roomy_setting());
  std::vector<std::unique_ptr<Listener>> choices;
  sched::Request choice = request_of(20, 400);
  choice.party = 1;
  for (int i = 0; i < 32; ++i) choices.push_back(std::make_unique<Listener>(server, choice));
  for (int i = 0; i < 10; ++i) server.engine().step();
  Listener small(server, request_of(5, 1));
  server.engine().step();
  EXPECT_EQ(small.listen(), 1);
  server.engine().stop();
  while (server.engine().step()) {
  }
}

}  // namespace
}  // namespace erne::tests
