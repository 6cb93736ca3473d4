#include "server/errors.h"

#include <gtest/gtest.h>

namespace erne::server {
namespace {

TEST(Errors, HaveOpenAisShapeAndStatus) {
  const http::Response response = error_response(invalid("n is \"x\"", "n"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            R"({"error":{"message":"n is \"x\"","type":"invalid_request_error","param":"n",)"
            R"("code":"invalid_value"}})");
  EXPECT_EQ(error_response(Status{Code::kOverloaded, "", ""}).status, 429);
  EXPECT_EQ(error_response(Status{Code::kTooLong, "", ""}).status, 400);
  EXPECT_EQ(error_response(Status{Code::kInternal, "", ""}).status, 500);
  EXPECT_EQ(error_response(Status{Code::kUnauthorized, "", ""}).status, 401);
}

}  // namespace
}  // namespace erne::server
