// The order in which kernels read weights that are turned into float32 before they are multiplied:
// panels of 16 outputs as in panels.h, each contiguous, 64-byte parts.
//
//   block_wise_fp8   scales [in / 128][16] float32, of the tile of 128 outputs that the panel lies
//   in,
//                    codes  [in][16]
//   wint2            code scales [16] float32, code zeros [16] float32, super scales [16] bfloat16,
//                    padded to 64 bytes; local scales [in / 256][16][4], bytes [in / 16][16][4]: of
//                    an output, four that follow each other
//
// Everything here is static: the linker must not share code that a kernel file has compiled for its
// own instruction set.
#pragma once

#include "cpu/packing/integer_panels.h"
#include "cpu/packing/panels.h"
#include "tensor/fp8.h"

namespace erne::cpu {

struct Fp8Panels {
  std::byte* data;
  int64_t in;
};
constexpr int kFp8Group = 128;

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

struct CcqPanels {
  std::byte* data;
  int64_t in;
};
constexpr int kCcqPerByte = 4, kCcqLocalGroup = 64;
constexpr int kCcqStep = 16;         // inputs in 64 bytes of a panel
constexpr int kCcqLocalStep = 256;   // inputs whose local scales are 64 bytes
constexpr int kCcqScaleBytes = 192;  // before the local scales

static constexpr int64_t local_bytes(const CcqPanels& w) {
  return round_up(w.in, kCcqLocalStep) / kCcqLocalStep * 64;
}
static constexpr int64_t panel_stride(const CcqPanels& w) {
  return kCcqScaleBytes + local_bytes(w) + round_up(w.in, kCcqStep) / kCcqStep * 64;
}
static inline float* panel_code_scales(const CcqPanels& w, int64_t panel) {
  return reinterpret_cast<float*>(w.data + panel * panel_stride(w));
}
static inline float* panel_code_zeros(const CcqPanels& w, int64_t panel) {
  return panel_code_scales(w, panel) + kPanel;
}
static inline Bf16* panel_super_scales(const CcqPanels& w, int64_t panel) {
  return reinterpret_cast<Bf16*>(panel_code_zeros(w, panel) + kPanel);
}
static inline uint8_t* panel_locals(const CcqPanels& w, int64_t panel) {
  return reinterpret_cast<uint8_t*>(w.data + panel * panel_stride(w)) + kCcqScaleBytes;
}
static inline uint8_t* panel_bytes(const CcqPanels& w, int64_t panel) {
  return panel_locals(w, panel) + local_bytes(w);
}
// Of the local scale, and of the byte, of input k and output n.
static constexpr int64_t local_offset(int64_t k, int64_t n) {
  return (k / kCcqLocalStep * kPanel + n) * 4 + k / kCcqLocalGroup % 4;
}
static constexpr int64_t byte_offset(int64_t k, int64_t n) {
  return (k / kCcqStep * kPanel + n) * 4 + k / kCcqPerByte % 4;
}

}  // namespace erne::cpu
