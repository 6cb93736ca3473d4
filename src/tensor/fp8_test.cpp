#include "tensor/fp8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tensor/formats/block_fp8.h"

namespace erne {
namespace {

TEST(Fp8, KnownNumbers) {
  const std::pair<uint8_t, float> cases[] = {{0x00, 0},       {0x01, 0x1p-9f}, {0x07, 7 * 0x1p-9f},
                                             {0x08, 0x1p-6f}, {0x38, 1},       {0x39, 1.125f},
                                             {0x7E, 448},     {0xB8, -1},      {0xFE, -448}};
  for (const auto& [bits, value] : cases) {
    EXPECT_EQ(to_float(Fp8{bits}), value);
    EXPECT_EQ(to_fp8(value).bits, bits);
  }
  EXPECT_TRUE(std::signbit(to_float(Fp8{0x80})));
}

TEST(Fp8, EveryNumberComesBack) {
  for (int bits = 0; bits < 256; ++bits) {
    const float v = to_float(Fp8{static_cast<uint8_t>(bits)});
    if ((bits & 0x7F) == 0x7F) {
      EXPECT_TRUE(std::isnan(v));
      EXPECT_EQ(to_fp8(v).bits & 0x7F, 0x7F);
    } else {
      EXPECT_EQ(to_fp8(v).bits, bits);
      EXPECT_EQ(rounded_to_fp8(v), v);
    }
  }
}

TEST(Fp8, RoundsToTheNearestAndToEvenBetween) {
  for (int bits = 0; bits < 0x7E; ++bits) {
    const float low = to_float(Fp8{static_cast<uint8_t>(bits)});
    const float high = to_float(Fp8{static_cast<uint8_t>(bits + 1)});
    const float middle = (low + high) / 2;
    EXPECT_EQ(to_fp8(std::nextafter(middle, 0.0f)).bits, bits);
    EXPECT_EQ(to_fp8(std::nextafter(middle, 500.0f)).bits, bits + 1);
    EXPECT_EQ(to_fp8(middle).bits, bits % 2 == 0 ? bits : bits + 1);
    EXPECT_EQ(rounded_to_fp8(middle), to_float(to_fp8(middle)));
    EXPECT_EQ(to_fp8(-middle).bits, to_fp8(middle).bits | 0x80);
  }
}

TEST(Fp8, SaturatesAndKeepsNan) {
  EXPECT_EQ(to_fp8(1e9f).bits, 0x7E);
  EXPECT_EQ(to_fp8(-std::numeric_limits<float>::infinity()).bits, 0xFE);
  EXPECT_TRUE(std::isnan(to_float(to_fp8(std::nanf("")))));
}

TEST(BlockFp8, TheLargestBecomes448AndDamageStaysVisible) {
  EXPECT_EQ(block_fp8::factor(7), 64);
  EXPECT_EQ(block_fp8::factor(0), 1);
  EXPECT_EQ(block_fp8::larger(3, -4), 4);
  EXPECT_EQ(block_fp8::larger(3, 2), 3);
  EXPECT_TRUE(std::isnan(block_fp8::larger(3, HUGE_VALF)));
  EXPECT_TRUE(std::isnan(block_fp8::larger(std::nanf(""), 1)));
}

}  // namespace
}  // namespace erne
