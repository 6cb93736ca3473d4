// Engine, inbox and streams with several client threads at once; meant for the thread sanitizer,
// and checked against sequential evaluation like every campaign.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/counter_rng.h"
#include "engine/engine.h"
#include "sim/shadow_executor.h"

namespace erne::sim {
namespace {

using engine::StreamEvent;
using engine::TokenStream;
using sched::FinishReason;

// What came through a stream until its end; waits for it.
struct Collected {
  std::vector<sched::TokenId> tokens;
  int ends = 0;
  FinishReason finish = FinishReason::kError;
};

class Listener {
 public:
  std::function<void()> on_ready() {
    return [this] {
      ready_ = true;
      ready_.notify_one();
    };
  }
  Collected collect(TokenStream& stream) {
    Collected collected;
    while (collected.ends == 0) {
      ready_.wait(false);
      ready_ = false;
      while (std::optional<StreamEvent> event = stream.next()) {
        const auto& tokens = event->event.tokens;
        collected.tokens.insert(collected.tokens.end(), tokens.begin(), tokens.end());
        if (!event->event.finish) continue;
        ++collected.ends;
        collected.finish = *event->event.finish;
      }
    }
    return collected;
  }

 private:
  std::atomic<bool> ready_ = false;
};

struct World {
  SteadyClock clock;
  ShadowExecutor executor{{.geometry = {.device_blocks = 24, .host_blocks = 8, .block_tokens = 4},
                           .vocabulary = 30,
                           .max_drafts = 3}};
  engine::Engine engine{
      executor,
      {.max_rows = 6, .max_tokens = 24, .max_model_len = 80, .max_waiting = 8, .max_drafts = 3},
      clock};
};

sched::Request random_request(const CounterRng& rng, int i, sched::RequestId id) {
  const auto words = rng.words(i);
  sched::Request request;
  request.id = id;
  request.prompt.assign(1 + words[0] % 20, static_cast<sched::TokenId>(words[1] % 3));
  request.stop.eos_ids = {0};
  request.stop.max_new_tokens = 1 + static_cast<int>(words[2] % 25);
  return request;
}

void check(const World& world, const sched::Request& request, const Collected& collected) {
  const ShadowText expected = evaluate(world.executor.model(), request);
  ASSERT_EQ(collected.ends, 1);
  ASSERT_NE(collected.finish, FinishReason::kError);
  if (collected.finish == FinishReason::kCancelled) {
    ASSERT_LE(collected.tokens.size(), expected.tokens.size());
    ASSERT_TRUE(
        std::equal(collected.tokens.begin(), collected.tokens.end(), expected.tokens.begin()));
  } else {
    ASSERT_EQ(collected.tokens, expected.tokens);
    ASSERT_EQ(collected.finish, expected.finish);
  }
}

TEST(EngineThreads, EveryClientGetsItsTextWhateverTheOthersDo) {
  World world;
  std::thread loop([&] { world.engine.run(); });
  std::atomic<int> finished = 0, overloaded = 0;
  const auto one_client = [&](int index) {
    const CounterRng rng(4, index);
    for (int i = 0; i < 60; ++i) {
      Listener listener;
      const sched::Request request = random_request(rng, i, world.engine.client().next_id());
      auto stream = world.engine.client().submit(request, listener.on_ready());
      if (!stream.ok()) {
        ASSERT_EQ(stream.status().code, Code::kOverloaded);
        ++overloaded;
        continue;
      }
      if (i % 5 == 0) world.engine.client().cancel(request.id);
      if (i % 7 == 0) world.engine.client().stats();
      check(world, request, listener.collect(**stream));
      ++finished;
    }
  };
  std::vector<std::thread> clients;
  for (int index = 0; index < 8; ++index) clients.emplace_back(one_client, index);
  for (std::thread& client : clients) client.join();
  world.engine.drain();
  loop.join();
  EXPECT_EQ(finished + overloaded, 8 * 60);
  EXPECT_GT(finished, 8 * 30);
  const engine::EngineStats stats = world.engine.client().stats();
  EXPECT_EQ(stats.free_blocks + stats.cached_blocks, stats.total_blocks);
  EXPECT_FALSE(stats.failed);
}

TEST(EngineThreads, AStopAmongSubmissionsLeavesNoStreamOpen) {
  for (int round = 0; round < 20; ++round) {
    World world;
    std::thread loop([&] { world.engine.run(); });
    std::atomic<int> accepted = 0, ended = 0;
    std::vector<std::thread> clients;
    for (int index = 0; index < 4; ++index) {
      clients.emplace_back([&, index] {
        const CounterRng rng(round, index);
        for (int i = 0; i < 10; ++i) {
          Listener listener;
          const sched::Request request = random_request(rng, i, world.engine.client().next_id());
          auto stream = world.engine.client().submit(request, listener.on_ready());
          if (!stream.ok()) continue;
          ++accepted;
          ended += listener.collect(**stream).ends;
        }
      });
    }
    while (accepted < 4) std::this_thread::yield();
    world.engine.stop();
    for (std::thread& client : clients) client.join();
    loop.join();
    EXPECT_EQ(accepted, ended);
    EXPECT_EQ(world.engine.client().stats().running, 0);
  }
}

}  // namespace
}  // namespace erne::sim
