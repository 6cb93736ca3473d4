// Weights of encoded_panels.h to float32, written once for all vector instruction sets: in terms of
// cpu/lanes/lanes.h. Everything is internal to the kernel file that includes this.
#pragma once

#include <cstdint>

#include "cpu/kernels/kernels.h"
#include "cpu/lanes/lane_parts.h"
#include "cpu/lanes/lanes.h"
#include "cpu/packing/encoded_panels.h"

namespace erne::cpu {
namespace {

inline void decode_fp8_panel(const Fp8Panels& w, int64_t panel, float* out) {
  for (int64_t g = 0; g < num_groups(w); ++g) {
    const Floats scale = load(panel_scales(w, panel, g));
    const int64_t end = smaller((g + 1) * kFp8Group, w.in);
    for (int64_t k = g * kFp8Group; k < end; ++k)
      store(out + k * kPanel, load(panel_codes(w, panel, k)) * scale);
  }
}

// The largest integer that is not larger, of numbers of fewer than 22 bits.
ERNE_INLINE Floats floor_of(Floats v) {
  const Floats nearest = v + broadcast(kRoundToInt) - broadcast(kRoundToInt);
  return nearest - broadcast(1) + zero_below(v - nearest, 0, broadcast(1));
}

// The codes that bytes stand for, as integers; what checkpoints should not hold counts as 0.
ERNE_INLINE Ints ccq_codes(Floats bytes, Floats code_scale, Floats code_zero) {
  const Floats v = floor_of(bytes * code_scale + code_zero + broadcast(0.5f));
  const Floats in_range = zero_below(v, 0, zero_below(broadcast(32767) - v, 0, v));
  return bits_of_floats(in_range + broadcast(kRoundToInt));
}

// Rows [k, k + 1] of a panel of float32, or the last row alone; of bfloat16 there are always two.
ERNE_INLINE void store_rows(float* out, int64_t left, Floats even, Floats odd) {
  store(out, even);
  if (left > 1) store(out + kPanel, odd);
}
ERNE_INLINE void store_rows(Bf16* out, int64_t, Floats even, Floats odd) {
  store_pair(out, even, odd);
}

template <class T>
void decode_ccq(const CcqPanels& w, int64_t panel, T* out) {
  const Floats code_scale = load(panel_code_scales(w, panel));
  const Floats code_zero = load(panel_code_zeros(w, panel));
  const Floats super = load(panel_super_scales(w, panel));
  const uint8_t* const bytes = panel_bytes(w, panel);
  const uint8_t* const locals = panel_locals(w, panel);
  for (int64_t k = 0; k < w.in; k += kCcqPerByte) {
    const Codes four_locals = load_codes(locals + local_offset(k, 0) / 64 * 64);
    const Floats local = converted(codes_of(four_locals, k / kCcqLocalGroup % 4));
    const Floats scale = local * super;
    const Codes four_bytes = load_codes(bytes + byte_offset(k, 0) / 64 * 64);
    const Ints codes =
        ccq_codes(converted(codes_of(four_bytes, k / kCcqPerByte % 4)), code_scale, code_zero);
    const auto weight = [&](int shift) {
      return rounded<Bf16>((converted(bits_at<6>(codes, shift)) - broadcast(32)) * scale);
    };
    store_rows(out + k * kPanel, w.in - k, weight(9), weight(6));
    if (w.in - k > 2) store_rows(out + (k + 2) * kPanel, w.in - k - 2, weight(3), weight(0));
  }
}

}  // namespace
}  // namespace erne::cpu
