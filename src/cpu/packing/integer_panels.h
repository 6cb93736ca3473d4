// The order in which the kernels read integers with scales (tensor/formats/symmetric_int.h): panels
// of 16 outputs as in panels.h, each contiguous. A panel is
//
//   scales  [group][16] bfloat16, padded to 64 bytes
//   codes   k ascending in fours. 8 bits: [k / 4][16][k mod 4] bytes. 4 bits: [k / 8][16][k mod 4]
//           bytes whose low half is the code of k mod 8 < 4 and whose high half that of k + 4.
//
// so 64 bytes hold four (or twice four) inputs of 16 outputs: what AVX2, AVX-512 and AMX multiply
// by four bytes of activations at a time. k is padded to a multiple of kCodePadding; activations
// are 0 there. Codes of outputs beyond the last are those of zeros.
//
// Everything here is static: the linker must not share code that a kernel file has compiled for its
// own instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/packing/packed_weight.h"
#include "cpu/packing/panels.h"

namespace erne::cpu {

constexpr int kCodeStep = 8;      // inputs that kernels take at a time
constexpr int kCodePadding = 64;  // what a tile of AMX holds

struct IntegerPanels {
  std::byte* data;
  int bits;
  int64_t in;
  int64_t group;        // inputs per scale
  int64_t input_group;  // inputs per scale of activations; `group`, where a row has several
};

static inline IntegerPanels integer_panels(const PackedWeight& w) {
  return {w.data, w.format->bits, w.in, w.group, w.input_group};
}
static constexpr int64_t num_groups(const IntegerPanels& w) {
  return (w.in + w.group - 1) / w.group;
}
static constexpr int64_t num_input_groups(const IntegerPanels& w) {
  return (w.in + w.input_group - 1) / w.input_group;
}
static constexpr int64_t scale_bytes(const IntegerPanels& w) {
  return round_up(num_groups(w) * kPanel * static_cast<int64_t>(sizeof(Bf16)), 64);
}
// Bytes of kCodeStep inputs.
static constexpr int64_t step_bytes(int bits) {
  return int64_t{kCodeStep} * kPanel * bits / 8;
}
// Bytes from one panel to the next.
static constexpr int64_t panel_stride(const IntegerPanels& w) {
  return scale_bytes(w) + round_up(w.in, kCodePadding) / kCodeStep * step_bytes(w.bits);
}
// The 16 scales of a group.
static inline Bf16* panel_scales(const IntegerPanels& w, int64_t panel, int64_t group) {
  return reinterpret_cast<Bf16*>(w.data + panel * panel_stride(w)) + group * kPanel;
}
// The codes of inputs k, k + 1, ...; k is a multiple of kCodeStep.
static inline uint8_t* panel_codes(const IntegerPanels& w, int64_t panel, int64_t k) {
  return reinterpret_cast<uint8_t*>(w.data + panel * panel_stride(w) + scale_bytes(w)) +
         k / kCodeStep * step_bytes(w.bits);
}
// The byte of panel_codes(w, panel, 0) that holds the code of (k, n), and how far up in it.
static constexpr int64_t code_byte(int bits, int64_t k, int64_t n) {
  return ((bits == 8 ? k / 4 : k / 8) * kPanel + n) * 4 + k % 4;
}
static constexpr int code_shift(int bits, int64_t k) {
  return bits == 8 ? 0 : static_cast<int>(k & 4);
}
// The integer that stands for the weight of input k and output n of a panel.
static inline int integer_at(const IntegerPanels& w, int64_t panel, int64_t k, int64_t n) {
  const uint8_t byte = panel_codes(w, panel, 0)[code_byte(w.bits, k, n)];
  const int code = (byte >> code_shift(w.bits, k)) & ((1 << w.bits) - 1);
  return code - (1 << (w.bits - 1));
}

}  // namespace erne::cpu
