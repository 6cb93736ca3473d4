// Numbers as kernels compute with them. What a format's bits mean is said in tensor/; the
// conversions are those of tensor/, which both compilers take.
#pragma once

#include "cuda/language/device_code.h"
#include "tensor/fp8.h"
#include "tensor/tensor_view.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

inline constexpr int kWarp = 32;

// exp(x), of a relative error below 2^-21.9: x log2(e) in two parts, 2 to the power of the large
// one by the device, and the small one as 1 + r ln 2. 0 below -87, where the result would come near
// to a denormal; x is at most 88. NaN gives NaN.
ON_DEVICE float exp_f32(float x) {
  constexpr float kLog2E = 1.44269504f, kLog2ELow = 1.92596299e-8f, kLn2 = 0.693147181f;
  if (x < -87.0f) return 0.0f;
  const float power = x * kLog2E;
  const float rest = fma(x, kLog2ELow, fma(x, kLog2E, -power));
  const float large = exp2_fast(power);
  return fma(large, rest * kLn2, large);
}

// x / (1 + exp(-x)).
ON_DEVICE float silu(float x) {
  return divide(x, 1.0f + exp_f32(-x < 88.0f ? -x : 88.0f));
}

// Two bfloat16 in a word, the first in the lower half: fma of both, where the results are bfloat16
// numbers themselves. The emulation stops where one is not. Denormals count, as bfloat16 has them.
ON_DEVICE uint32_t fma_pair(uint32_t a, uint32_t b, uint32_t c);
// Both rounded to bfloat16.
ON_DEVICE uint32_t rounded_pair(float first, float second);

#if defined(ERNE_CUDA_EMULATED)

namespace pairs {

inline double exact(uint32_t word, int half) {
  const auto bits = static_cast<uint16_t>(word >> 16 * half);
  const int exponent = bits >> 7 & 0xFF, fraction = bits & 0x7F;
  if (exponent == 0xFF) return to_float(Bf16{bits});
  const double size =
      std::ldexp(exponent > 0 ? 0x80 + fraction : fraction, exponent > 0 ? exponent - 134 : -133);
  return bits & 0x8000 ? -size : size;
}

inline uint32_t fma_half(uint32_t a, uint32_t b, uint32_t c, int half) {
  const double result = std::fma(exact(a, half), exact(b, half), exact(c, half));
  const uint32_t bits = to_bf16(static_cast<float>(result)).bits;
  if (exact(bits, 0) != result && result == result)
    emulation::fault("fma_pair: a result that is no bfloat16 number");
  return bits << 16 * half;
}

}  // namespace pairs

inline uint32_t fma_pair(uint32_t a, uint32_t b, uint32_t c) {
  return pairs::fma_half(a, b, c, 0) | pairs::fma_half(a, b, c, 1);
}
inline uint32_t rounded_pair(float first, float second) {
  return uint32_t{to_bf16(first).bits} | uint32_t{to_bf16(second).bits} << 16;
}

#else

ON_DEVICE uint32_t fma_pair(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t out;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(c));
  return out;
}
ON_DEVICE uint32_t rounded_pair(float first, float second) {
  uint32_t out;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(second), "f"(first));
  return out;
}

#endif

// Two numbers of tensor/fp8.h, in the low bytes of both halves, as bfloat16: exponent and fraction
// move to where bfloat16 has them, and the difference of the biases is a factor. That holds for
// denormals too; NaN becomes a number.
ON_DEVICE uint32_t widened_fp8_pair(uint32_t codes) {
  constexpr uint32_t kFactor = 0x7B807B80;  // 2^120, twice
  const uint32_t numbers = ((codes & 0x007F007F) << 4) | ((codes & 0x00800080) << 8);
  return fma_pair(numbers, kFactor, 0x80008000);  // -0, so that 0 keeps its sign
}

// Sums over the lanes of a warp, in a tree: every lane gets the same bits.
template <class T>
ON_DEVICE T warp_sum(T v) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) v += shuffle_xor(v, mask);
  return v;
}
// Each lane's own and all below it.
template <class T>
ON_DEVICE T warp_running_sum(T v) {
  for (int by = 1; by < kWarp; by *= 2) {
    const T below = shuffle_up(v, by);
    if (lane() >= by) v += below;
  }
  return v;
}
template <class T>
ON_DEVICE T warp_max(T v) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const T other = shuffle_xor(v, mask);
    v = other > v ? other : v;
  }
  return v;
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
