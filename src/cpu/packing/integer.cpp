#include "cpu/packing/integer.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/packing/integer_panels.h"
#include "tensor/formats/symmetric_int.h"

namespace erne::cpu {
namespace {

int64_t stride(const PackedWeight& w) {
  return panel_stride(integer_panels(w));
}

// The four codes at `codes` as the bytes of a word.
uint32_t word_of(const uint8_t* codes) {
  uint32_t word;
  std::memcpy(&word, codes, sizeof(word));
  return word;
}

// Output n of a panel. `codes` has room for the padding, too.
void place_codes(std::span<const uint8_t> codes, const IntegerPanels& w, int64_t panel, int64_t n) {
  uint8_t* bytes = panel_codes(w, panel, 0);
  const int inputs_per_word = w.bits == 8 ? 4 : 8;
  for (int64_t k = 0; k < std::ssize(codes); k += inputs_per_word) {
    uint32_t word = word_of(&codes[k]);
    if (w.bits == 4) word |= word_of(&codes[k + 4]) << 4;
    std::memcpy(bytes + code_byte(w.bits, k, n), &word, sizeof(word));
  }
}

// Outputs behind the last are zeros.
void place(const EncodedRows& rows, int64_t first, const PackedWeight& weight, int64_t panel) {
  const IntegerPanels w = integer_panels(weight);
  std::vector<uint8_t> codes(round_up(w.in, kCodePadding));
  for (int64_t n = 0; n < kPanel; ++n) {
    const bool is_there = first + n < rows.count;
    if (is_there)
      std::ranges::copy(rows.codes_of(first + n), codes.begin());
    else
      std::ranges::fill(codes, static_cast<uint8_t>(symmetric_int::offset(w.bits)));
    for (int64_t group = 0; group < num_groups(w); ++group)
      panel_scales(w, panel, group)[n] = to_bf16(is_there ? rows.scales_of(first + n)[group] : 0);
    place_codes(codes, w, panel, n);
  }
}

void read_row(const PackedWeight& weight, int64_t row, float* out) {
  const IntegerPanels w = integer_panels(weight);
  const int64_t panel = row / kPanel, n = row % kPanel;
  for (int64_t k = 0; k < w.in; ++k)
    out[k] = static_cast<float>(integer_at(w, panel, k, n)) *
             to_float(panel_scales(w, panel, k / w.group)[n]);
}

}  // namespace

const PanelFormat kIntegerPanelFormat{
    .stride = stride, .pack = nullptr, .place = place, .read_row = read_row};

}  // namespace erne::cpu
