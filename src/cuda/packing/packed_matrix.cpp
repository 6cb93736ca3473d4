#include "cuda/packing/packed_matrix.h"

#include "tensor/formats/symmetric_int.h"

namespace erne::cuda {
namespace {

constexpr int64_t kAlignment = 256;
constexpr int64_t kPanelAlignment = 128;  // a cache line

int64_t rounded_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

PackedMatrix::PackedMatrix(const WeightFormat& format, int64_t out, int64_t in)
    : encoding(format.encoding),
      bits(format.bits),
      is_fragmented(format.bits <= 16),
      group(format.encoding == Encoding::kBlockFp8 ? block_fp8::kSquare
                                                   : static_cast<int>(format.group_length(in))),
      offset(format.encoding == Encoding::kSymmetricInt ? symmetric_int::offset(format.bits) : 0),
      out(out),
      in(in),
      panel_bytes(0),
      locals_at(0),
      row_bytes(0),
      num_scales(format.is_quantized() ? format.rules().num_scales(format, in) : 0) {
  const int64_t panels = (out + kPanel - 1) / kPanel;
  if (is_fragmented) {
    const int64_t fragments = rounded_up(in, kSliceUnit) / fragment_inputs(bits);
    locals_at = fragments * kFragmentBytes;
    panel_bytes = locals_at;
    if (encoding == Encoding::kCcq)
      panel_bytes = rounded_up(locals_at + fragments * kPanel, kPanelAlignment);
    scales_at = panels * panel_bytes;
  } else {
    row_bytes = rounded_up(in * static_cast<int64_t>(dtype_bytes(format.stored)), 16);
    scales_at = out * row_bytes;
  }
  scales_at = rounded_up(scales_at, kAlignment);
  bytes = rounded_up(scales_at + panels * kPanel * num_scales * static_cast<int64_t>(sizeof(float)),
                     kAlignment);
}

}  // namespace erne::cuda
