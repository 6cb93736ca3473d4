#include "engine/inbox.h"

#include <gtest/gtest.h>

#include <thread>

namespace erne::engine {
namespace {

Submission submission(sched::RequestId id) {
  Submission submission;
  submission.request.id = id;
  return submission;
}

TEST(Inbox, HandsOverEverythingOnceAndInOrder) {
  Inbox inbox(10);
  EXPECT_TRUE(inbox.submit(submission(1)).ok());
  EXPECT_TRUE(inbox.submit(submission(2)).ok());
  inbox.cancel(1);
  const Messages messages = inbox.take();
  ASSERT_EQ(messages.submissions.size(), 2u);
  EXPECT_EQ(messages.submissions[0].request.id, 1u);
  EXPECT_EQ(messages.submissions[1].request.id, 2u);
  EXPECT_EQ(messages.cancels, std::vector<sched::RequestId>{1});
  EXPECT_EQ(messages.service, Service::kOpen);
  const Messages none = inbox.take();
  EXPECT_TRUE(none.submissions.empty());
  EXPECT_TRUE(none.cancels.empty());
}

TEST(Inbox, CountsWhatWaitsHereAndInTheScheduler) {
  Inbox inbox(3);
  EXPECT_TRUE(inbox.submit(submission(1)).ok());
  EXPECT_TRUE(inbox.submit(submission(2)).ok());
  inbox.take();
  EXPECT_TRUE(inbox.submit(submission(3)).ok());
  const Result<void> refused = inbox.submit(submission(4));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code, Code::kOverloaded);
  EXPECT_NE(refused.status().message.find("3 requests"), std::string::npos);
  inbox.set_waiting(0);  // the two taken run now
  EXPECT_TRUE(inbox.submit(submission(5)).ok());
  EXPECT_TRUE(inbox.submit(submission(6)).ok());
  EXPECT_FALSE(inbox.submit(submission(7)).ok());
}

TEST(Inbox, OnceClosedItTakesNoRequestsButCancellations) {
  Inbox inbox(3);
  EXPECT_TRUE(inbox.submit(submission(1)).ok());
  inbox.close(Service::kStopping);
  inbox.close(Service::kDraining);  // no way back
  EXPECT_EQ(inbox.submit(submission(2)).status().code, Code::kOverloaded);
  inbox.cancel(1);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(inbox.take().service, Service::kStopping);
}

TEST(Inbox, AfterAFailureEverySubmissionGetsIt) {
  Inbox inbox(3);
  inbox.fail({Code::kInternal, "no device"});
  EXPECT_EQ(inbox.submit(submission(1)).status().message, "no device");
}

TEST(Inbox, WaitReturnsForEachKindOfMessage) {
  Inbox inbox(3);
  const auto wakes = [&](auto send) {
    std::thread sender(send);
    inbox.wait();
    sender.join();
    inbox.take();
  };
  wakes([&] { EXPECT_TRUE(inbox.submit(submission(1)).ok()); });
  wakes([&] { inbox.cancel(1); });
  wakes([&] { inbox.close(Service::kDraining); });
  wakes([&] { inbox.close(Service::kStopping); });
}

}  // namespace
}  // namespace erne::engine
