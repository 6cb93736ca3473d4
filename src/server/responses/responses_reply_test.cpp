#include "server/responses/responses_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace erne::server::responses {
namespace {

using ::testing::ElementsAre;

class ResponsesReplyTest : public testing::Test {
 protected:
  std::unique_ptr<ResponsesReply> reply() {
    return std::make_unique<ResponsesReply>(ReplyHead{"1", 0, "m"}, Json::Object(), request_,
                                            TokenNames(nullptr, true),
                                            [this](const std::string& id, const Json& response) {
                                              EXPECT_EQ(id, "resp_1");
                                              kept_.push_back(response.find("status")->as_string());
                                            });
  }
  static Delta said(const char* text, std::optional<Finish> finish = {}) {
    Delta delta;
    delta.content = text;
    delta.finish = finish;
    return delta;
  }

  GenerationRequest request_{Endpoint::kChat, {}};
  PreparedPrompt prompt_;
  std::vector<std::string> kept_;
};

TEST_F(ResponsesReplyTest, IsKeptAtItsBeginningAndAtItsEnd) {
  auto whole = reply();
  whole->gained(0, said("a"), prompt_, {});
  EXPECT_THAT(kept_, ElementsAre("in_progress"));
  whole->gained(0, said("b", Finish::kStop), prompt_, {});
  whole->ended({});
  whole.reset();
  EXPECT_THAT(kept_, ElementsAre("in_progress", "completed"));
}

TEST_F(ResponsesReplyTest, SaysHowItEnded) {
  auto cut = reply();
  cut->gained(0, said("a", Finish::kLength), prompt_, {});
  cut->ended({});
  reply()->failed({Code::kInternal, "broken", {}});
  EXPECT_THAT(kept_, ElementsAre("in_progress", "incomplete", "in_progress", "failed"));
}

TEST_F(ResponsesReplyTest, WhoseClientLeavesIsCancelled) {
  reply()->gained(0, said("a"), prompt_, {});
  EXPECT_THAT(kept_, ElementsAre("in_progress", "cancelled"));
  kept_.clear();
  reply();
  EXPECT_TRUE(kept_.empty()) << "nobody has heard of it";
}

}  // namespace
}  // namespace erne::server::responses
