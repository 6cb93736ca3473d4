// The order in which the kernels read wint2 (tensor/formats/ccq.h): panels of 16 outputs as in
// panels.h, each contiguous. A panel is
//
//   code scales   [16] float32
//   code zeros    [16] float32
//   super scales  [16] bfloat16, padded to 64 bytes
//   local scales  [in / 256][16][4]: of an output, four that follow each other
//   bytes         [in / 16][16][4], likewise
//
// Everything here is static: the linker must not share code that a kernel file has compiled for its
// own instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/packing/packed_weight.h"
#include "cpu/packing/panels.h"

namespace erne::cpu {

struct CcqPanels {
  std::byte* data;
  int64_t in;
};
constexpr int kCcqPerByte = 4, kCcqLocalGroup = 64;
constexpr int kCcqStep = 16;         // inputs in 64 bytes of a panel
constexpr int kCcqLocalStep = 256;   // inputs whose local scales are 64 bytes
constexpr int kCcqScaleBytes = 192;  // before the local scales

static inline CcqPanels ccq_panels(const PackedWeight& w) {
  return {w.data, w.in};
}
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
// Where the local scale, and the byte, of input k and output n lie.
static constexpr int64_t local_offset(int64_t k, int64_t n) {
  return (k / kCcqLocalStep * kPanel + n) * 4 + k / kCcqLocalGroup % 4;
}
static constexpr int64_t byte_offset(int64_t k, int64_t n) {
  return (k / kCcqStep * kPanel + n) * 4 + k / kCcqPerByte % 4;
}

}  // namespace erne::cpu
