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

}  // namespace
}  // namespace erne::http
