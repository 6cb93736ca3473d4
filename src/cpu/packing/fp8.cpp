#include "cpu/packing/fp8.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/packing/fp8_panels.h"
#include "tensor/formats/block_fp8.h"

namespace erne::cpu {
namespace {

static_assert(block_fp8::kSquare == kFp8Group && kPackRows % block_fp8::kSquare == 0);

int64_t stride(const PackedWeight& w) {
  return panel_stride(fp8_panels(w));
}

// Output n of a panel. Kernels do not look for NaN among codes: their scale says it.
void place_row(const EncodedRows& rows, int64_t row, const Fp8Panels& w, int64_t panel, int64_t n) {
  const auto codes = rows.codes_of(row);
  for (int64_t g = 0; g < num_groups(w); ++g) {
    float& scale = panel_scales(w, panel, g)[n];
    scale = rows.scales_of(row)[g];
    for (int64_t k = g * kFp8Group; k < std::min((g + 1) * kFp8Group, w.in); ++k) {
      const Fp8 code{codes[k]};
      panel_codes(w, panel, k)[n] = code;
      if (std::isnan(to_float(code))) scale = std::numeric_limits<float>::quiet_NaN();
    }
  }
}

void place(const EncodedRows& rows, int64_t first, const PackedWeight& w, int64_t panel) {
  const int64_t count = std::min<int64_t>(kPanel, rows.count - first);
  for (int64_t n = 0; n < count; ++n) place_row(rows, first + n, fp8_panels(w), panel, n);
}

void read_row(const PackedWeight& weight, int64_t row, float* out) {
  const Fp8Panels w = fp8_panels(weight);
  const int64_t panel = row / kPanel, n = row % kPanel;
  for (int64_t k = 0; k < w.in; ++k)
    out[k] = to_float(panel_codes(w, panel, k)[n]) * panel_scales(w, panel, k / kFp8Group)[n];
}

}  // namespace

const PanelFormat kFp8PanelFormat{
    .stride = stride, .pack = nullptr, .place = place, .read_row = read_row};

}  // namespace erne::cpu
