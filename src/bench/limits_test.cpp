#include "bench/limits.h"

#include <gtest/gtest.h>

#include <numeric>

#include "bench/limits_kernels.h"

namespace erne::bench {
namespace {

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

// A bandwidth means something only if every byte was read.
TEST(ReadKernels, DependOnEveryByte) {
  std::vector<unsigned char> data(4096);
  std::iota(data.begin(), data.end(), 0);
  for (const auto read : {read_portable, read_avx2, read_cached_avx2}) {
    if (read != read_portable && !has_avx2()) continue;
    const uint64_t before = read(data.data(), data.size());
    EXPECT_EQ(before, read_portable(data.data(), data.size()));
    for (size_t i = 0; i < data.size(); ++i) {
      data[i] ^= 0x10;
      EXPECT_NE(read(data.data(), data.size()), before) << "byte " << i;
      data[i] ^= 0x10;
    }
  }
}

TEST(FmaKernel, DoesEveryStep) {
  if (!has_avx2()) GTEST_SKIP() << "no AVX2 and FMA here";
  // 2^k rounds of adding 1e-18 to ten chains that start at 0.
  EXPECT_NEAR(fma_avx2(1 << 10), 1024 * kFmaChains * 1e-18, 1e-18);
}

TEST(MachineLimits, ChooseTheRowThatKeepsAFloorAFloor) {
  MachineLimits limits;
  limits.bandwidth = {
      {1, 1000, 50, 55}, {2, 1000, 100, 110}, {2, 8000, 60, 66}, {2, 99000, 30, 33}};
  limits.fma = {{2, 150, 160}};
  EXPECT_EQ(limits.bandwidth_at(10, 2), 100);  // smaller than all: the fastest known
  EXPECT_EQ(limits.bandwidth_at(7999, 2), 100);
  EXPECT_EQ(limits.bandwidth_at(8000, 2), 60);
  EXPECT_EQ(limits.memory_bandwidth(2), 30);
  EXPECT_EQ(limits.memory_bandwidth(1), 50);
  EXPECT_EQ(limits.memory_bandwidth(7), 0);
  EXPECT_EQ(limits.fma_peak(2), 150);
  EXPECT_EQ(limits.fma_peak(1), 0);
}

TEST(UncachedBytes, FitTheMachine) {
  EXPECT_GE(uncached_bytes(), size_t{16} << 20);
  EXPECT_LE(uncached_bytes(), size_t{2} << 30);
}

}  // namespace
}  // namespace erne::bench
