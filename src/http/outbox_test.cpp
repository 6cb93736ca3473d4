#include "http/outbox.h"

#include <gtest/gtest.h>

namespace erne::http {
namespace {

TEST(Outbox, TellsOnceWhenThereIsRoomAgain) {
  Outbox outbox(10);
  EXPECT_TRUE(outbox.add("123456", false));   // someone has to take it
  EXPECT_FALSE(outbox.add("123456", false));  // who is on the way
  EXPECT_FALSE(outbox.writable());
  Outbox::Batch batch = outbox.take();
  EXPECT_EQ(batch.bytes.size(), 12u);
  EXPECT_FALSE(batch.writable);
  EXPECT_FALSE(outbox.add("7", true));
  batch = outbox.take();
  EXPECT_EQ(batch.bytes, "7");
  EXPECT_TRUE(batch.writable);
  EXPECT_FALSE(batch.end);
  batch = outbox.take();
  EXPECT_TRUE(batch.end);
  EXPECT_FALSE(batch.writable);
  EXPECT_TRUE(outbox.add("next", false));
}

TEST(Outbox, AnInterimResponseNeverFollowsItsResponse) {
  Outbox outbox(10);
  EXPECT_TRUE(outbox.add_interim("100"));
  outbox.add("200", true);
  EXPECT_FALSE(outbox.add_interim("100"));
  EXPECT_EQ(outbox.take().bytes, "100200");
  EXPECT_TRUE(outbox.take().end);
  EXPECT_TRUE(outbox.add_interim("100"));  // of the next request
}

}  // namespace
}  // namespace erne::http
