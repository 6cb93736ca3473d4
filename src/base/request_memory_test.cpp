#include "base/request_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

namespace erne {
namespace {

using ::testing::HasSubstr;

TEST(RequestMemory, ClaimsAreCountedAndGivenBack) {
  RequestMemory memory(128);
  std::optional<RequestMemory::Claim> first(memory);
  RequestMemory::Claim second(memory);
  EXPECT_TRUE(first->take(60, "the first").ok());
  EXPECT_TRUE(second.take(40, "the second").ok());
  EXPECT_EQ(memory.used(), 100u);
  RequestMemory::Claim moved = std::move(*first);
  first.reset();
  EXPECT_EQ(memory.used(), 100u);
  moved.give_back(10);
  EXPECT_EQ(memory.used(), 90u);
  moved = RequestMemory::Claim();
  EXPECT_EQ(memory.used(), 40u);
}

TEST(RequestMemory, TooMuchForNowAndTooMuchForEverAreToldApart) {
  RequestMemory memory(1000);
  RequestMemory::Claim other(memory), claim(memory);
  ASSERT_TRUE(other.take(600, "another").ok());
  const auto later = claim.take(500, "the prompt");
  ASSERT_FALSE(later.ok());
  EXPECT_EQ(later.status().code, Code::kExhausted);
  EXPECT_THAT(later.status().message, HasSubstr("the prompt"));
  EXPECT_THAT(later.status().message, HasSubstr("--max-request-memory"));
  ASSERT_TRUE(claim.take(275, "the prompt").ok());
  EXPECT_EQ(claim.take(601, "the prompt").status().code, Code::kInvalid);
  EXPECT_EQ(claim.take(~size_t{0}, "the prompt").status().code, Code::kInvalid);
  EXPECT_EQ(claim.bytes(), 275u);
  EXPECT_EQ(memory.used(), 875u);
}

TEST(RequestMemory, SmallRequestsHaveRoomWhateverLargeOnesTake) {
  RequestMemory memory(64'000);
  RequestMemory::Claim large(memory), other(memory), small(memory);
  ASSERT_TRUE(large.take(56'000, "all that large ones may have").ok());
  EXPECT_EQ(other.take(2000, "another").status().code, Code::kExhausted);
  EXPECT_TRUE(small.take(1000, "a small one").ok());
  EXPECT_EQ(small.take(1, "one that grows").status().code, Code::kExhausted);
}

TEST(RequestMemory, ManyThreadsNeverTakeMoreThanThereIs) {
  RequestMemory memory(10);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 10'000; ++k) {
        RequestMemory::Claim claim(memory);
        (void)claim.take(3, "a claim");
        ASSERT_LE(memory.used(), 10u);
      }
    });
  threads.clear();
  EXPECT_EQ(memory.used(), 0u);
}

}  // namespace
}  // namespace erne
