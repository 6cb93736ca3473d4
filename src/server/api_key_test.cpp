#include "server/api_key.h"

#include <gtest/gtest.h>

namespace erne::server {
namespace {

TEST(ApiKey, IsOneOfTheKeys) {
  const std::vector<std::string> keys = {"alpha", "beta"};
  EXPECT_TRUE(is_authorized("Bearer alpha", keys));
  EXPECT_TRUE(is_authorized("bearer beta", keys));
  for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer alph", "Bearer alphaalpha", "alpha",
                            "Bearer  alpha", "Basic alpha", "Bearer gamma"})
    EXPECT_FALSE(is_authorized(wrong, keys)) << wrong;
  EXPECT_TRUE(is_authorized("", {}));
  EXPECT_TRUE(is_authorized("Bearer ", {}));
  EXPECT_FALSE(is_authorized("Bearer ", {""}));
}

}  // namespace
}  // namespace erne::server
