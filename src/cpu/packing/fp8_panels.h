// The order in which the kernels read block_wise_fp8 (tensor/formats/block_fp8.h): panels of 16
// outputs as in panels.h, each contiguous. A panel is
//
//   scales  [in / 128][16] float32, of the square of 128 outputs that the panel lies in
//   codes   [in][16], an even number of inputs and in all a multiple of 64 bytes
//
// Everything here is static: the linker must not share code that a kernel file has compiled for its
// own instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/packing/packed_weight.h"
#include "cpu/packing/panels.h"
#include "tensor/fp8.h"

namespace erne::cpu {

struct Fp8Panels {
  std::byte* data;
  int64_t in;
};
constexpr int kFp8Group = 128;  // inputs per scale, of weights and of activations

static inline Fp8Panels fp8_panels(const PackedWeight& w) {
  return {w.data, w.in};
}
static constexpr int64_t num_groups(const Fp8Panels& w) {
  return (w.in + kFp8Group - 1) / kFp8Group;
}
static constexpr int64_t panel_stride(const Fp8Panels& w) {
  return (num_groups(w) * static_cast<int64_t>(sizeof(float)) + round_up(w.in, 4)) * kPanel;
}
static inline float* panel_scales(const Fp8Panels& w, int64_t panel, int64_t group) {
  return reinterpret_cast<float*>(w.data + panel * panel_stride(w)) + group * kPanel;
}
static inline Fp8* panel_codes(const Fp8Panels& w, int64_t panel, int64_t k) {
  return reinterpret_cast<Fp8*>(panel_scales(w, panel, num_groups(w))) + k * kPanel;
}

}  // namespace erne::cpu
