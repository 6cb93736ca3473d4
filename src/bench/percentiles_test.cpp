#include "bench/percentiles.h"

#include <gtest/gtest.h>

namespace erne::bench {
namespace {

TEST(Percentile, InterpolatesBetweenNeighbours) {
  const std::vector<double> sorted = {10, 20, 30, 40};
  EXPECT_DOUBLE_EQ(percentile(sorted, 0.0), 10);
  EXPECT_DOUBLE_EQ(percentile(sorted, 0.5), 25);
  EXPECT_DOUBLE_EQ(percentile(sorted, 0.9), 37);  // rank 2.7
  EXPECT_DOUBLE_EQ(percentile(sorted, 1.0), 40);
}

TEST(Summarize, SortsAndReduces) {
  std::vector<double> samples;
  for (int i = 100; i >= 0; --i) samples.push_back(i);
  const Summary s = summarize(samples);
  EXPECT_EQ(s.count, 101);
  EXPECT_DOUBLE_EQ(s.mean, 50);
  EXPECT_DOUBLE_EQ(s.p50, 50);
  EXPECT_DOUBLE_EQ(s.p90, 90);
  EXPECT_DOUBLE_EQ(s.p95, 95);
  EXPECT_DOUBLE_EQ(s.p99, 99);
  EXPECT_DOUBLE_EQ(s.max, 100);
}

TEST(Summarize, OneSampleIsEveryPercentile) {
  const Summary s = summarize({7.5});
  EXPECT_DOUBLE_EQ(s.p50, 7.5);
  EXPECT_DOUBLE_EQ(s.p99, 7.5);
}

TEST(Summarize, NothingMeasuredIsNullNotZero) {
  EXPECT_EQ(summarize({}).count, 0);
  EXPECT_TRUE(to_json(summarize({})).is_null());
  EXPECT_EQ(to_json(summarize({2})).find("p95")->as_double(), 2);
}

}  // namespace
}  // namespace erne::bench
