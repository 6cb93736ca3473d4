#include "cpu/packing/panel_format.h"

#include <algorithm>
#include <vector>

#include "cpu/machine/row_tasks.h"
#include "cpu/packing/ccq.h"
#include "cpu/packing/fp8.h"
#include "cpu/packing/integer.h"
#include "cpu/packing/panels.h"
#include "cpu/packing/plain.h"

namespace erne::cpu {
namespace {

// Rows [first, first + count) as float32; element types are told apart outside the loops, so that
// the compiler makes vectors of them.
std::vector<float> read_floats(const TensorView& rows, int64_t first, int64_t count) {
  const int64_t in = rows.shape[1];
  std::vector<float> out(count * in);
  if (rows.dtype == DType::kBf16)
    std::ranges::transform(std::span(rows.as<const Bf16>() + first * in, out.size()), out.begin(),
                           [](Bf16 v) { return to_float(v); });
  else
    std::copy_n(rows.as<const float>() + first * in, out.size(), out.begin());
  return out;
}

// Panels of rows [first, ...) of `rows`, as many as encode together.
void encode_panels(const TensorView& rows, int64_t first, const PackedWeight& w, int64_t panel) {
  const EncodingRules& rules = w.format->rules();
  const int64_t most = std::max<int64_t>(kPanel, rules.rows_at_once);
  const int64_t count = std::min(most, rows.shape[0] - first);
  EncodedRows encoded(*w.format, count, w.in);
  rules.encode(read_floats(rows, first, count), encoded, 0);
  for (int64_t row = 0; row < count; row += kPanel)
    panel_format(w.format->encoding).place(encoded, row, w, panel + row / kPanel);
}

}  // namespace

const PanelFormat& panel_format(Encoding encoding) {
  static constexpr const PanelFormat* kFormats[] = {&kPlainPanelFormat, &kIntegerPanelFormat,
                                                    &kFp8PanelFormat, &kCcqPanelFormat};
  static_assert(std::size(kFormats) == kNumEncodings);  // in the order of Encoding
  return *kFormats[static_cast<int>(encoding)];
}

PackedWeight packed_weight(std::byte* data, const WeightFormat& format, int64_t in) {
  return {.data = data,
          .format = &format,
          .in = in,
          .group = format.group_length(in),
          .input_group = format.input_group()};
}

PackedWeight packed_weight(const Linear& w) {
  return packed_weight(DeviceAccess::pointer(w.data.data), *w.format, w.in);
}

size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in) {
  return num_panels(out) * panel_format(format.encoding).stride(packed_weight(nullptr, format, in));
}

void pack_rows(const PackedWeight& w, const TensorView& rows, int64_t first_row, ThreadPool& pool) {
  const auto pack = panel_format(w.format->encoding).pack;
  const int64_t step =
      pack != nullptr ? kPanel : std::max<int64_t>(kPanel, w.format->rules().rows_at_once);
  pool.parallel_for(ceil_div(rows.shape[0], step), [&](int64_t task, int) {
    const int64_t row = task * step;
    (pack != nullptr ? pack : encode_panels)(rows, row, w, (first_row + row) / kPanel);
  });
}

void place_rows(const PackedWeight& w, const EncodedRows& rows, int64_t first_row,
                ThreadPool& pool) {
  const auto place = panel_format(w.format->encoding).place;
  CHECK(place != nullptr);
  pool.parallel_for(num_panels(rows.count), [&](int64_t panel, int) {
    place(rows, panel * kPanel, w, first_row / kPanel + panel);
  });
}

void read_rows(const PackedWeight& table, std::span<const int32_t> ids, const TensorView& x,
               ThreadPool& pool, Scratch& scratch) {
  const auto read_row = panel_format(table.format->encoding).read_row;
  float* const rows = scratch.floats(pool.threads() * table.in);
  pool.parallel_for(std::ssize(ids), [&](int64_t t, int worker) {
    if (x.dtype == DType::kF32) return read_row(table, ids[t], x.as<float>() + t * table.in);
    float* const row = rows + worker * table.in;
    read_row(table, ids[t], row);
    std::transform(row, row + table.in, x.as<Bf16>() + t * table.in, to_bf16);
  });
}

void read_panel(const PackedWeight& w, int64_t panel, float* out) {
  std::vector<float> row(w.in);
  for (int64_t n = 0; n < kPanel; ++n) {
    panel_format(w.format->encoding).read_row(w, panel * kPanel + n, row.data());
    for (int64_t k = 0; k < w.in; ++k) out[k * kPanel + n] = row[k];
  }
}

}  // namespace erne::cpu
