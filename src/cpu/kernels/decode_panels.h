// Encoded weights to float32 or bfloat16, a panel at a time, written once for all vector
// instruction sets, in terms of cpu/lanes/lanes.h. Everything is internal to the kernel file that
// includes this.
#pragma once

#include <cstdint>

#include "cpu/arithmetic.h"
#include "cpu/lanes/lane_parts.h"
#include "cpu/lanes/lanes.h"
#include "cpu/packing/ccq_panels.h"
#include "cpu/packing/fp8_panels.h"
#include "cpu/packing/integer_panels.h"

namespace erne::cpu {
namespace {

// ---- integers

// The codes of kCodeStep inputs, the first four and the others.
struct CodeStep {
  Codes parts[2];

  // The weights of the step's input i, as float32.
  ERNE_INLINE Floats at(int64_t i) const {
    return converted(codes_of(parts[i / 4], static_cast<int>(i % 4)));
  }
};
template <int bits>
ERNE_INLINE CodeStep load_step(const uint8_t* bytes) {
  const Codes codes = load_codes(bytes);
  return {{bits == 4 ? low_halves(codes) : codes,
           bits == 4 ? high_halves(codes) : load_codes(bytes + step_bytes(bits) / 2)}};
}

template <int bits>
void decode_integers_of(const IntegerPanels& w, int64_t panel, float* out) {
  const Floats middle = broadcast(1 << (bits - 1));
  for (int64_t k = 0; k < w.in; k += kCodeStep) {
    const Floats scale = load(panel_scales(w, panel, k / w.group));
    const CodeStep step = load_step<bits>(panel_codes(w, panel, k));
    for (int64_t i = 0; i < smaller(kCodeStep, w.in - k); ++i)
      store(out + (k + i) * kPanel, (step.at(i) - middle) * scale);
  }
}

inline void decode_integers(const PackedWeight& w, int64_t panel, float* out) {
  w.format->bits == 4 ? decode_integers_of<4>(integer_panels(w), panel, out)
                      : decode_integers_of<8>(integer_panels(w), panel, out);
}

// ---- fp8

inline void decode_fp8(const PackedWeight& weight, int64_t panel, float* out) {
  const Fp8Panels w = fp8_panels(weight);
  for (int64_t g = 0; g < num_groups(w); ++g) {
    const Floats scale = load(panel_scales(w, panel, g));
    const int64_t end = smaller((g + 1) * kFp8Group, w.in);
    for (int64_t k = g * kFp8Group; k < end; ++k)
      store(out + k * kPanel, load(panel_codes(w, panel, k)) * scale);
  }
}

// ---- ccq

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
void decode_ccq(const PackedWeight& weight, int64_t panel, T* out) {
  const CcqPanels w = ccq_panels(weight);
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
    const auto weight_at = [&](int shift) {
      return rounded<Bf16>((converted(bits_at<6>(codes, shift)) - broadcast(32)) * scale);
    };
    store_rows(out + k * kPanel, w.in - k, weight_at(9), weight_at(6));
    if (w.in - k > 2) store_rows(out + (k + 2) * kPanel, w.in - k - 2, weight_at(3), weight_at(0));
  }
}

}  // namespace
}  // namespace erne::cpu
