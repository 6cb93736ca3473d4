#include "cpu/packing/ccq.h"

#include <algorithm>

#include "cpu/packing/ccq_panels.h"
#include "tensor/formats/ccq.h"

namespace erne::cpu {
namespace {

static_assert(ccq::kPerByte == kCcqPerByte && ccq::kLocalGroup == kCcqLocalGroup);

int64_t stride(const PackedWeight& w) {
  return panel_stride(ccq_panels(w));
}

void place_row(const EncodedRows& rows, int64_t row, const CcqPanels& w, int64_t panel, int64_t n) {
  const auto scales = rows.scales_of(row);
  panel_code_scales(w, panel)[n] = scales[ccq::kCode];
  panel_code_zeros(w, panel)[n] = scales[ccq::kZero];
  panel_super_scales(w, panel)[n] = to_bf16(scales[ccq::kSuper]);
  const auto locals = ccq::locals_of(rows, row), bytes = ccq::bytes_of(rows, row);
  for (int64_t i = 0; i < std::ssize(locals); ++i)
    panel_locals(w, panel)[local_offset(i * kCcqLocalGroup, n)] = locals[i];
  for (int64_t i = 0; i < std::ssize(bytes); ++i)
    panel_bytes(w, panel)[byte_offset(i * kCcqPerByte, n)] = bytes[i];
}

void place(const EncodedRows& rows, int64_t first, const PackedWeight& w, int64_t panel) {
  const int64_t count = std::min<int64_t>(kPanel, rows.count - first);
  for (int64_t n = 0; n < count; ++n) place_row(rows, first + n, ccq_panels(w), panel, n);
}

void read_row(const PackedWeight& weight, int64_t row, float* out) {
  const CcqPanels w = ccq_panels(weight);
  const int64_t panel = row / kPanel, n = row % kPanel;
  for (int64_t k = 0; k < w.in; ++k) {
    const int code = ccq::code_of(panel_bytes(w, panel)[byte_offset(k, n)],
                                  panel_code_scales(w, panel)[n], panel_code_zeros(w, panel)[n]);
    out[k] =
        ccq::decode(code, static_cast<int>(k % kCcqPerByte),
                    panel_locals(w, panel)[local_offset(k, n)], panel_super_scales(w, panel)[n]);
  }
}

}  // namespace

const PanelFormat kCcqPanelFormat{
    .stride = stride, .pack = nullptr, .place = place, .read_row = read_row};

}  // namespace erne::cpu
