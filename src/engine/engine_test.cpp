#include "engine/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

namespace erne::engine {
namespace {

using sched::FinishReason;

class CountingClock final : public Clock {
 public:
  int64_t now_us() const override { return ++readings; }
  mutable std::atomic<int64_t> readings = 0;
};

// Answers 7 to everything. `before` comes before every step and may make it fail.
class SevenExecutor final : public sched::Executor {
 public:
  explicit SevenExecutor(const CountingClock& clock) : clock(clock) {}
  kv::KvGeometry kv_geometry() const override {
    return {.device_blocks = 16, .host_blocks = 5, .block_tokens = 4};
  }
  sched::StepResult run(const sched::BatchPlan& plan) override {
    if (before) before();
    step_sizes.push_back(static_cast<int>(plan.tokens.size()));
    clock.readings += us_per_token * step_sizes.back();
    if (broken) return {.step = plan.step, .failure = Status{Code::kInternal, "no device"}};
    sched::StepResult result{.step = plan.step};
    for (const sched::PlanRow& row : plan.rows) {
      result.rows.emplace_back();
      if (row.wants_token) result.rows.back().accepted = {7};
    }
    return result;
  }
  std::function<void()> before;
  bool broken = false;
  const CountingClock& clock;
  int64_t us_per_token = 0;
  std::vector<int> step_sizes;  // in tokens
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    limits_.max_rows = 2;
    limits_.max_model_len = 60;
    limits_.max_waiting = 3;
    engine_.emplace(executor_, limits_, clock_);
  }

  EngineClient& client() { return engine_->client(); }

  sched::Request request(int max_new_tokens) {
    sched::Request request;
    request.id = client().next_id();
    request.prompt = {1, 2, 3};
    request.stop.max_new_tokens = max_new_tokens;
    return request;
  }
  std::shared_ptr<TokenStream> submit(int max_new_tokens) {
    Result<std::shared_ptr<TokenStream>> stream = client().submit(request(max_new_tokens), nullptr);
    return std::move(stream).value();
  }

  struct Heard {
    int tokens = 0, ends = 0;
    FinishReason finish = FinishReason::kError;
    Status error;
    StreamEvent last;
  };
  static Heard hear(TokenStream& stream) {
    Heard heard;
    while (std::optional<StreamEvent> event = stream.next()) {
      heard.tokens += static_cast<int>(event->event.tokens.size());
      if (event->event.finish) {
        ++heard.ends;
        heard.finish = *event->event.finish;
        heard.error = event->event.error;
      }
      heard.last = *event;
    }
    return heard;
  }

  CountingClock clock_;
  SevenExecutor executor_{clock_};
  sched::Limits limits_;
  std::optional<Engine> engine_;
};

TEST_F(EngineTest, ServesARequestStepByStep) {
  int calls = 0;
  auto stream = client().submit(request(3), [&] { ++calls; }).value();
  EXPECT_TRUE(engine_->step());
  EXPECT_EQ(calls, 1);
  const Heard first = hear(*stream);
  EXPECT_EQ(first.tokens, 1);
  EXPECT_EQ(first.ends, 0);
  EXPECT_GT(first.last.submitted_us, 0);
  EXPECT_GT(first.last.first_scheduled_us, first.last.submitted_us);
  EXPECT_GT(first.last.emitted_us, first.last.first_scheduled_us);
  EXPECT_TRUE(engine_->step());
  EXPECT_FALSE(engine_->step());  // the last token: nothing is left
  const Heard rest = hear(*stream);
  EXPECT_EQ(rest.tokens, 2);
  EXPECT_EQ(rest.ends, 1);
  EXPECT_EQ(rest.finish, FinishReason::kLength);
  EXPECT_EQ(rest.last.first_scheduled_us, first.last.first_scheduled_us);
  EXPECT_FALSE(engine_->step());
}

TEST_F(EngineTest, IdsAscendFromOne) {
  EXPECT_EQ(client().next_id(), 1u);
  EXPECT_EQ(client().next_id(), 2u);
}

TEST_F(EngineTest, RefusesAtOnceWhatNeverFits) {
  EXPECT_EQ(client().submit(request(58), nullptr).status().code, Code::kTooLong);
  EXPECT_EQ(client().submit(request(-1), nullptr).status().code, Code::kInvalid);
}

TEST_F(EngineTest, RefusesMoreThanMayWait) {
  for (int i = 0; i < 3; ++i) submit(5);
  EXPECT_EQ(client().submit(request(5), nullptr).status().code, Code::kOverloaded);
  engine_->step();  // two of them run now
  submit(5);
  submit(5);
  EXPECT_EQ(client().submit(request(5), nullptr).status().code, Code::kOverloaded);
}

TEST_F(EngineTest, CancelsWithinOneStep) {
  auto running = submit(40), waiting_1 = submit(40), waiting_2 = submit(40);
  engine_->step();
  client().cancel(1);
  client().cancel(3);
  client().cancel(99);  // unknown: ignored
  engine_->step();
  EXPECT_EQ(client().stats().running, 1);
  EXPECT_EQ(client().stats().waiting, 0);
  for (auto& stream : {running, waiting_2}) {
    const Heard heard = hear(*stream);
    EXPECT_EQ(heard.ends, 1);
    EXPECT_EQ(heard.finish, FinishReason::kCancelled);
  }
  EXPECT_EQ(hear(*waiting_1).ends, 0);
}

TEST_F(EngineTest, CancelsWhatComesWithItsCancellation) {
  auto stream = submit(40);
  client().cancel(1);
  EXPECT_FALSE(engine_->step());
  EXPECT_EQ(hear(*stream).finish, FinishReason::kCancelled);
}

TEST_F(EngineTest, DrainsWhatItHas) {
  auto stream = submit(10);
  engine_->drain();
  EXPECT_EQ(client().submit(request(5), nullptr).status().code, Code::kOverloaded);
  engine_->run();
  const Heard heard = hear(*stream);
  EXPECT_EQ(heard.tokens, 10);
  EXPECT_EQ(heard.finish, FinishReason::kLength);
  EXPECT_TRUE(client().stats().draining);
}

TEST_F(EngineTest, StopsAtOnce) {
  std::vector<std::shared_ptr<TokenStream>> streams{submit(40), submit(40), submit(40)};
  engine_->step();
  engine_->stop();
  engine_->run();
  for (auto& stream : streams) {
    const Heard heard = hear(*stream);
    EXPECT_EQ(heard.ends, 1);
    EXPECT_EQ(heard.finish, FinishReason::kCancelled);
    EXPECT_LE(heard.tokens, 1);
  }
  EXPECT_EQ(client().stats().running, 0);
}

TEST_F(EngineTest, DyingItEndsEveryStream) {
  auto running = submit(40);
  engine_->step();
  auto waiting = submit(40);
  engine_.reset();
  EXPECT_EQ(hear(*running).finish, FinishReason::kCancelled);
  EXPECT_EQ(hear(*waiting).finish, FinishReason::kCancelled);
}

TEST_F(EngineTest, AFailureOfTheExecutorEndsEverything) {
  auto running = submit(40);
  engine_->step();
  std::shared_ptr<TokenStream> late;
  executor_.broken = true;
  executor_.before = [&] { late = submit(40); };
  engine_->run();  // returns by itself
  for (auto& stream : {running, late}) {
    const Heard heard = hear(*stream);
    EXPECT_EQ(heard.ends, 1);
    EXPECT_EQ(heard.finish, FinishReason::kError);
    EXPECT_EQ(heard.error.message, "no device");
  }
  EXPECT_TRUE(client().stats().failed);
  EXPECT_EQ(client().submit(request(5), nullptr).status().message, "no device");
}

TEST_F(EngineTest, ReportsWhatItDoes) {
  EngineStats stats = client().stats();
  EXPECT_EQ(stats.max_running, 2);
  EXPECT_EQ(stats.total_blocks, 16);
  EXPECT_EQ(stats.free_blocks, 16);
  EXPECT_EQ(stats.host_blocks, 5);
  EXPECT_EQ(stats.host_cached_blocks, 0);
  submit(6), submit(6), submit(6);
  engine_->step();
  stats = client().stats();
  EXPECT_EQ(stats.running, 2);
  EXPECT_EQ(stats.waiting, 1);
  EXPECT_EQ(stats.free_blocks, 14);
  EXPECT_EQ(stats.steps, 1);
  EXPECT_EQ(stats.prompt_tokens, 6);
  EXPECT_EQ(stats.generated_tokens, 2);
  EXPECT_GT(stats.last_step_us, 0);
  engine_->drain();
  engine_->run();
  stats = client().stats();
  EXPECT_EQ(stats.steps, 12);
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.free_blocks + stats.cached_blocks, 16);
  EXPECT_GT(stats.cached_blocks, 0);
  EXPECT_FALSE(stats.failed);
}

TEST_F(EngineTest, PromptsDoNotHoldUpWhatDecodes) {
  executor_.us_per_token = 1000;
  const auto sizes_beside_a_decoder = [this](double decode_slowdown) {
    engine_.emplace(executor_, limits_, clock_, decode_slowdown);
    const auto decoder = submit(20);
    for (int i = 0; i < 4; ++i) engine_->step();
    sched::Request long_prompt = request(1);
    long_prompt.prompt.assign(30, 1);
    const auto prompt = client().submit(long_prompt, nullptr).value();
    executor_.step_sizes.clear();
    for (int i = 0; i < 4; ++i) engine_->step();
    return executor_.step_sizes;
  };
  // Three prompt tokens more than the decoder's one are four times its time.
  EXPECT_EQ(sizes_beside_a_decoder(4.5), (std::vector<int>{1 + 8, 1 + 3, 1 + 3, 1 + 3}));
  EXPECT_EQ(client().stats().token_budget, 4);
  EXPECT_EQ(sizes_beside_a_decoder(kNoPacing), (std::vector<int>{1 + 30, 1, 1, 1}));
  EXPECT_EQ(client().stats().token_budget, limits_.max_tokens);
  limits_.chunk_prompts = false;
  EXPECT_EQ(sizes_beside_a_decoder(4.5), (std::vector<int>{1 + 30, 1, 1, 1}));
}

TEST_F(EngineTest, WaitsForWorkWithoutSpinning) {
  std::thread thread([this] { engine_->run(); });
  submit(2);
  while (client().stats().generated_tokens < 2) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const int64_t before = clock_.readings;
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(clock_.readings, before);
  auto stream = submit(1);
  while (client().stats().generated_tokens < 3) std::this_thread::yield();
  engine_->stop();
  thread.join();
  EXPECT_EQ(hear(*stream).finish, FinishReason::kLength);
}

}  // namespace
}  // namespace erne::engine
