#include "bench/limits.h"

#include <gtest/gtest.h>

#include <numeric>

#include "bench/limits_kernels.h"
#include "cpu/cpu_backend.h"

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

// A peak means something only if every step was done.
TEST(ComputeKernels, DoEveryStep) {
  constexpr int64_t kRounds = 1 << 10;
  if (has_avx2()) {
    EXPECT_NEAR(fma_avx2(kRounds), kRounds * kChains * 1e-18, 1e-18);
    EXPECT_EQ(int8_avx2(kRounds), kRounds * kChains * 4);
    EXPECT_EQ(int4_avx2(kRounds), kRounds * kInt4Chains * kInt4Products * 4);
  }
  if (__builtin_cpu_supports("avx512f")) {
    EXPECT_NEAR(fma_avx512(kRounds), kRounds * kChains * 1e-18, 1e-18);
  }
  if (__builtin_cpu_supports("avx512bf16")) {
    EXPECT_EQ(bf16_avx512(kRounds), kRounds * kChains * 8);
  }
  if (__builtin_cpu_supports("avx512vnni")) {
    EXPECT_EQ(int8_avx512_vnni(kRounds), kRounds * kChains * 4);
  }
  if (cpu::cpu_supports(cpu::CpuIsa::kAmx)) {
    EXPECT_EQ(int8_amx(kRounds), kRounds * kTileChains * 64);
    EXPECT_EQ(bf16_amx(kRounds), kRounds * kTileChains * 32);
  }
}

TEST(MachineLimits, ChooseTheRowThatKeepsAFloorAFloor) {
  MachineLimits limits;
  limits.bandwidth = {
      {1, 1000, 50, 55}, {2, 1000, 100, 110}, {2, 8000, 60, 66}, {2, 99000, 30, 33}};
  limits.compute = {{Arithmetic::kFloat32, "", 2, 150, 140},
                    {Arithmetic::kInt8, "", 2, 300, 290},
                    {Arithmetic::kInt4, "", 2, 450, 440},
                    {Arithmetic::kInt8, "", 3, 1800, 1700},
                    {Arithmetic::kInt4, "", 3, 700, 650}};
  EXPECT_EQ(limits.bandwidth_at(10, 2), 100);  // smaller than all: the fastest known
  EXPECT_EQ(limits.bandwidth_at(7999, 2), 100);
  EXPECT_EQ(limits.bandwidth_at(8000, 2), 60);
  EXPECT_EQ(limits.memory_bandwidth(2), 30);
  EXPECT_EQ(limits.memory_bandwidth(1), 50);
  EXPECT_EQ(limits.memory_bandwidth(7), 0);
  EXPECT_EQ(limits.compute_peak(Arithmetic::kFloat32, 2), 150);
  EXPECT_EQ(limits.compute_peak(Arithmetic::kFloat32, 1), 0);
  EXPECT_EQ(limits.compute_peak(Arithmetic::kBf16, 2), 150);  // widened to float32
  EXPECT_EQ(limits.compute_peak(Arithmetic::kInt8, 2), 300);
  EXPECT_EQ(limits.compute_peak(Arithmetic::kInt4, 2), 450);
  EXPECT_EQ(limits.compute_peak(Arithmetic::kInt4, 3), 1800);  // widened to 8 bits
}

TEST(UncachedBytes, FitTheMachine) {
  EXPECT_GE(uncached_bytes(), size_t{16} << 20);
  EXPECT_LE(uncached_bytes(), size_t{2} << 30);
}

}  // namespace
}  // namespace erne::bench
