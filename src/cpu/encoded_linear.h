// Weights of encoded_panels.h to float32, and activations to fp8, written once for all vector
// instruction sets: in terms of F16, I16 and Codes. Everything is internal to the kernel file that
// includes this.
#pragma once

#include <cstdint>

#include "cpu/encoded_panels.h"
#include "cpu/kernels.h"
#include "cpu/lane_parts.h"

namespace erne::cpu {
namespace {

inline void decode_fp8_panel(const Fp8Panels& w, int64_t panel, float* out) {
  for (int64_t g = 0; g < num_groups(w); ++g) {
    const F16 scale = load(panel_scales(w, panel, g));
    const int64_t end = smaller((g + 1) * kFp8Group, w.in);
    for (int64_t k = g * kFp8Group; k < end; ++k)
      store(out + k * kPanel, load(panel_codes(w, panel, k)) * scale);
  }
}

// The largest integer that is not larger, of numbers of fewer than 22 bits.
ERNE_LANES F16 floor_of(F16 v) {
  const F16 nearest = v + broadcast(kRoundToInt) - broadcast(kRoundToInt);
  return nearest - broadcast(1) + zero_below(v - nearest, 0, broadcast(1));
}

// The codes that bytes stand for, as integers; what checkpoints should not hold counts as 0.
ERNE_LANES I16 ccq_codes(F16 bytes, F16 code_scale, F16 code_zero) {
  const F16 v = floor_of(bytes * code_scale + code_zero + broadcast(0.5f));
  const F16 in_range = zero_below(v, 0, zero_below(broadcast(32767) - v, 0, v));
  return bits_of_floats(in_range + broadcast(kRoundToInt));
}

inline void decode_ccq_panel(const CcqPanels& w, int64_t panel, float* out) {
  const F16 code_scale = load(panel_code_scales(w, panel));
  const F16 code_zero = load(panel_code_zeros(w, panel));
  const F16 super = load(panel_super_scales(w, panel));
  const uint8_t* const bytes = panel_bytes(w, panel);
  const uint8_t* const locals = panel_locals(w, panel);
  for (int64_t k = 0; k < w.in; k += kCcqPerByte) {
    const Codes four_locals = load_codes(locals + local_offset(k, 0) / 64 * 64);
    const F16 local = converted(codes_of(four_locals, k / kCcqLocalGroup % 4));
    const F16 scale = local * super;
    const Codes four_bytes = load_codes(bytes + byte_offset(k, 0) / 64 * 64);
    const I16 codes =
        ccq_codes(converted(codes_of(four_bytes, k / kCcqPerByte % 4)), code_scale, code_zero);
    for (int j = 0; j < smaller(kCcqPerByte, w.in - k); ++j)
      store(out + (k + j) * kPanel,
            rounded<Bf16>((converted(bits_at<6>(codes, 9 - 3 * j)) - broadcast(32)) * scale));
  }
}

template <class T>
void round_group(const T* x, int64_t count, float* y) {
  F16 most = broadcast(0), poison = broadcast(0);  // poison: 0, or NaN where an x is not finite
  for (int64_t i = 0; i < count; i += kLanes) {
    const F16 v = load_part(x + i, count - i);
    most = max_of(most, absolute(v));
    poison = fma(v, broadcast(0), poison);
  }
  const float damage = combine(poison), a = largest(most);
  constexpr float kLeast = 1e-10f, kLargest = 448.0f;
  const float floored = a > kLeast ? a : kLeast;
  const F16 factor = broadcast(kLargest / floored + damage);
  const F16 scale = broadcast(floored / kLargest + damage);
  for (int64_t i = 0; i < count; i += kLanes)
    store_part(y + i, rounded_to_fp8(load_part(x + i, count - i) * factor) * scale, count - i);
}

template <class T>
void round_rows(const Fp8RoundTask& task) {
  for (int64_t row = 0; row < task.num_rows; ++row)
    for (int64_t k = 0; k < task.in; k += kFp8Group)
      round_group(static_cast<const T*>(task.x) + row * task.in + k,
                  smaller(kFp8Group, task.in - k), task.y + row * task.y_stride + k);
}

inline void round_to_fp8(const Fp8RoundTask& task) {
  task.type == DType::kBf16 ? round_rows<Bf16>(task) : round_rows<float>(task);
}

}  // namespace
}  // namespace erne::cpu
