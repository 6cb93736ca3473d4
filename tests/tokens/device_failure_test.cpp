// A device that fails in the middle of a step ends every request with an error that says so, and
// the engine; nothing waits for ever.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/device_failure.h"
#include "backend/forwarding_backend.h"
#include "cpu/cpu_backend.h"
#include "tokens/small_server.h"

namespace erne::tests {
namespace {

int calls_left = 0;  // that go well

class FailingBackend final : public ForwardingBackend {
 public:
  explicit FailingBackend(std::unique_ptr<Backend> inner)
      : ForwardingBackend(*inner), owner_(std::move(inner)) {}

 private:
  void pass(const std::function<void()>& access) override {
    if (calls_left-- <= 0) throw DeviceFailure("an illegal memory access");
    access();
  }
  std::unique_ptr<Backend> owner_;
};

constexpr Device kFailing = {"failing", [] { return true; },
                             [](int threads) -> std::unique_ptr<Backend> {
                               return std::make_unique<FailingBackend>(
                                   cpu::make_cpu_backend(cpu::CpuIsa::kReference, threads));
                             },
                             Speed::kFull, "cpu"};

struct Ending {
  int finishes = 0, tokens = 0;
  std::string error;
};

// Of two requests on a device that fails after so many calls beyond those of loading.
std::vector<Ending> endings_after(int calls) {
  calls_left = std::numeric_limits<int>::max();
  SmallServer server({.device = &kFailing, .max_rows = 4, .num_blocks = 64});
  calls_left = calls;
  engine::EngineClient& client = server.engine().client();
  std::mt19937 random(1);
  std::vector<std::shared_ptr<engine::TokenStream>> streams;
  for (int i = 0; i < 2; ++i) {
    sched::Request request = random_request(random);
    request.id = client.next_id();
    request.stop = {};
    request.stop.max_new_tokens = 4;
    streams.push_back(client.submit(std::move(request), [] {}).value());
  }
  while (server.engine().step()) {
  }
  EXPECT_EQ(server.stats().failed, !client.submit(random_request(random), [] {}).ok());
  std::vector<Ending> out;
  for (const auto& stream : streams) {
    Ending& ending = out.emplace_back();
    while (const auto event = stream->next()) {
      ending.tokens += static_cast<int>(event->event.tokens.size());
      ending.finishes += event->event.finish.has_value();
      ending.error += event->event.error.message;
    }
  }
  return out;
}

TEST(DeviceFailure, EndsEveryRequestOnceWhereverItStrikes) {
  int failed = 0;
  for (const int calls : {0, 1, 7, 20, 50, 90, 150, 100000})
    for (const Ending& ending : endings_after(calls)) {
      EXPECT_EQ(ending.finishes, 1) << "after " << calls << " calls";
      if (ending.error.empty()) {
        EXPECT_EQ(ending.tokens, 4) << "after " << calls << " calls";
      } else {
        EXPECT_THAT(ending.error, testing::HasSubstr("illegal memory access"));
        ++failed;
      }
    }
  EXPECT_GT(failed, 6);
  EXPECT_LT(failed, 16);
}

}  // namespace
}  // namespace erne::tests
