#include "server/responses/response_store.h"

#include <gtest/gtest.h>

namespace erne::server::responses {
namespace {

using std::chrono::seconds;

StoredResponse stored(const std::string& text, const std::string& owner = "me") {
  return {owner, Json().set("output", Json::Array()), {Json(text)}, {}};
}

TEST(ResponseStore, KeepsWhatIsOnesOwn) {
  ResponseStore store(1 << 20, seconds(10));
  store.put("a", stored("x"));
  ASSERT_NE(store.find("a", "me"), nullptr);
  EXPECT_EQ(store.find("a", "me")->input[0], Json("x"));
  EXPECT_EQ(store.find("a", "other"), nullptr);
  EXPECT_FALSE(store.erase("a", "other"));
  store.put("a", stored("y"));
  EXPECT_EQ(store.find("a", "me")->input[0], Json("y"));
  EXPECT_TRUE(store.erase("a", "me"));
  EXPECT_EQ(store.find("a", "me"), nullptr);
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(ResponseStore, ForgetsWhatNobodyAsksFor) {
  ResponseStore store(1 << 20, seconds(10));
  const ResponseStore::Clock::time_point start{};
  store.put("a", stored("x"), start);
  store.put("b", stored("x"), start);
  EXPECT_NE(store.find("a", "me", start + seconds(8)), nullptr);
  EXPECT_NE(store.find("a", "me", start + seconds(16)), nullptr);
  EXPECT_EQ(store.find("b", "me", start + seconds(16)), nullptr);
  EXPECT_EQ(store.find("a", "me", start + seconds(27)), nullptr);
}

TEST(ResponseStore, IsBoundedInBytes) {
  ResponseStore store(100'000, seconds(10));
  const std::string large(20'000, 'x');
  for (int i = 0; i < 20; ++i) {
    store.put(std::to_string(i), stored(large));
    EXPECT_LE(store.bytes(), 100'000u);
    EXPECT_NE(store.find("0", "me"), nullptr);
  }
  // The first was asked for all the time.
  EXPECT_NE(store.find("19", "me"), nullptr);
  EXPECT_EQ(store.find("1", "me"), nullptr);
  store.put("too large", stored(std::string(200'000, 'x')));
  EXPECT_EQ(store.find("too large", "me"), nullptr);
  EXPECT_NE(store.find("19", "me"), nullptr) << "nothing had to go for it";
}

}  // namespace
}  // namespace erne::server::responses
