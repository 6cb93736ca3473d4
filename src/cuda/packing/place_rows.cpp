#include "cuda/packing/place_rows.h"

#include <cmath>
#include <limits>

namespace erne::cuda {
namespace {

float number(const TensorView& rows, int64_t i) {
  return rows.dtype == DType::kF32 ? rows.as<float>()[i] : to_float(rows.as<Bf16>()[i]);
}

// The panels that rows belong to, as zeros. Every quantised format lies in fragments.
PlacedRows room_for(const PackedMatrix& matrix, int64_t count, int64_t first_row) {
  PlacedRows out;
  const int64_t panels = (count + kPanel - 1) / kPanel, first_panel = first_row / kPanel;
  CHECK_EQ(first_row % kPanel, 0);
  out.numbers.resize(panels * matrix.panel_bytes);
  out.numbers_at = first_panel * matrix.panel_bytes;
  const int64_t panel_scales = matrix.num_scales * kPanel;
  out.scales.resize(panels * panel_scales);
  out.scales_at =
      matrix.scales_at + first_panel * panel_scales * static_cast<int64_t>(sizeof(float));
  return out;
}

std::byte* panel_of(const PackedMatrix& matrix, PlacedRows& out, int64_t row) {
  return out.numbers.data() + row / kPanel * matrix.panel_bytes;
}

// The code of input k of `row` into its fragment; what is there must be zeros.
void put(const PackedMatrix& matrix, PlacedRows& out, int64_t row, int64_t k, uint8_t code) {
  const FragmentPlace place = fragment_place(matrix.bits, static_cast<int>(row % kPanel), k);
  panel_of(matrix, out, row)[place.fragment * kFragmentBytes + place.byte] |=
      static_cast<std::byte>(code << place.shift);
}

void place_ccq_row(const PackedMatrix& matrix, const EncodedRows& rows, int64_t row,
                   PlacedRows& out) {
  const auto bytes = ccq::bytes_of(rows, row), locals = ccq::locals_of(rows, row);
  for (int64_t i = 0; i < std::ssize(bytes); ++i)
    put(matrix, out, row, i * ccq::kPerByte, bytes[i]);
  static_assert(ccq::kLocalGroup == kSpan);
  std::byte* const at = panel_of(matrix, out, row) + matrix.locals_at;
  for (int64_t i = 0; i < std::ssize(locals); ++i)
    at[local_scale_at(i / 2, static_cast<int>(row % kPanel))] |=
        static_cast<std::byte>(locals[i] << i % 2 * 4);
}

// A NaN among the numbers of a group is one in its scale, so that products need not look for it.
void keep_nan_visible(const PackedMatrix& matrix, const EncodedRows& rows, int64_t row,
                      PlacedRows& out) {
  const std::span<const uint8_t> codes = rows.codes_of(row);
  for (int64_t k = 0; k < matrix.in; ++k)
    if (std::isnan(to_float(Fp8{codes[k]})))
      out.scales[matrix.scale_index(row, k / matrix.group)] =
          std::numeric_limits<float>::quiet_NaN();
}

}  // namespace

PlacedRows place_rows(const PackedMatrix& matrix, const EncodedRows& rows, int64_t first_row) {
  PlacedRows out = room_for(matrix, rows.count, first_row);
  for (int64_t row = 0; row < rows.count; ++row) {
    const std::span<const float> scales = rows.scales_of(row);
    for (int64_t i = 0; i < matrix.num_scales; ++i)
      out.scales[matrix.scale_index(row, i)] = scales[i];
    if (matrix.encoding == Encoding::kCcq) {
      place_ccq_row(matrix, rows, row, out);
      continue;
    }
    const std::span<const uint8_t> codes = rows.codes_of(row);
    for (int64_t k = 0; k < matrix.in; ++k) put(matrix, out, row, k, codes[k]);
    if (matrix.encoding == Encoding::kBlockFp8) keep_nan_visible(matrix, rows, row, out);
  }
  return out;
}

EncodedRows encode_rows(const WeightFormat& format, const TensorView& rows) {
  const int64_t count = rows.shape[0], in = rows.shape[1];
  std::vector<float> weights(count * in);
  for (int64_t i = 0; i < count * in; ++i) weights[i] = number(rows, i);
  EncodedRows encoded(format, count, in);
  format.rules().encode(weights, encoded, 0);
  return encoded;
}

}  // namespace erne::cuda
