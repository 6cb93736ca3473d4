#include "cpu/packing/encoded.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/machine/row_tasks.h"
#include "cpu/packing/weight_rows.h"
#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"

namespace erne::cpu {
namespace {

static_assert(block_fp8::kTile == kFp8Group && block_fp8::kTile == kPackRows);
static_assert(ccq::kPerByte == kCcqPerByte && ccq::kLocalGroup == kCcqLocalGroup);

constexpr int64_t kTilePanels = block_fp8::kTile / kPanel;

// `rows` as float32, zeros below them.
std::vector<float> read_tile(const TensorView& rows, int64_t first, int64_t count) {
  const int64_t in = rows.shape[1];
  std::vector<float> tile(count * in);
  for (int64_t n = 0; n < std::min(count, rows.shape[0] - first); ++n)
    read_row(rows, first + n, std::span(tile).subspan(n * in, in));
  return tile;
}

// 128 outputs, from panel `panel` on.
void encode_fp8_tile(std::span<const float> tile, const Fp8Panels& w, int64_t panel,
                     int64_t panels) {
  for (int64_t g = 0; g < num_groups(w); ++g) {
    const int64_t begin = g * kFp8Group, end = std::min(begin + kFp8Group, w.in);
    float largest = 0;
    for (int64_t n = 0; n < panels * kPanel; ++n)
      for (int64_t k = begin; k < end; ++k)
        largest = block_fp8::larger(largest, tile[n * w.in + k]);
    const float factor = block_fp8::factor(largest);
    for (int64_t n = 0; n < panels * kPanel; ++n) {
      panel_scales(w, panel + n / kPanel, g)[n % kPanel] = 1 / factor;
      for (int64_t k = begin; k < end; ++k)
        panel_codes(w, panel + n / kPanel, k)[n % kPanel] = to_fp8(tile[n * w.in + k] * factor);
    }
  }
}

// Output n of a panel. Kernels do not look for NaN among codes: their scale says it.
void place_fp8_row(const EncodedRows& rows, int64_t row, const Fp8Panels& w, int64_t panel,
                   int64_t n) {
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

const ccq::Encoder& ccq_encoder() {
  static const ccq::Encoder encoder;
  return encoder;
}

void place_ccq_numbers(std::span<const uint8_t> bytes, std::span<const uint8_t> locals,
                       const CcqPanels& w, int64_t panel, int64_t n) {
  for (int64_t i = 0; i < std::ssize(locals); ++i)
    panel_locals(w, panel)[local_offset(i * kCcqLocalGroup, n)] = locals[i];
  for (int64_t i = 0; i < std::ssize(bytes); ++i)
    panel_bytes(w, panel)[byte_offset(i * kCcqPerByte, n)] = bytes[i];
}

void encode_ccq_panel(std::span<const float> rows, const CcqPanels& w, int64_t panel) {
  std::vector<uint8_t> bytes(ccq::num_bytes(w.in)), locals(ccq::num_locals(w.in));
  for (int64_t n = 0; n < kPanel; ++n) {
    ccq::Row row{bytes, locals};
    ccq_encoder().encode(rows.subspan(n * w.in, w.in), row);
    panel_code_scales(w, panel)[n] = ccq::kCodeScale;
    panel_code_zeros(w, panel)[n] = 0;
    panel_super_scales(w, panel)[n] = row.super;
    place_ccq_numbers(bytes, locals, w, panel, n);
  }
}

void place_ccq_row(const EncodedRows& rows, int64_t row, const CcqPanels& w, int64_t panel,
                   int64_t n) {
  panel_code_scales(w, panel)[n] = rows.code_scales[row];
  panel_code_zeros(w, panel)[n] = rows.code_zeros[row];
  panel_super_scales(w, panel)[n] = to_bf16(rows.scales[row]);
  const int64_t num_locals = rows.num_locals();
  place_ccq_numbers(rows.codes_of(row),
                    std::span(rows.locals).subspan(row * num_locals, num_locals), w, panel, n);
}

}  // namespace

Fp8Panels fp8_panels(const Linear& w) {
  return {DeviceAccess::pointer(w.data.data), w.in};
}

CcqPanels ccq_panels(const Linear& w) {
  return {DeviceAccess::pointer(w.data.data), w.in};
}

size_t fp8_bytes(int64_t out, int64_t in) {
  return num_panels(out) * panel_stride(Fp8Panels{nullptr, in});
}

size_t ccq_bytes(int64_t out, int64_t in) {
  return num_panels(out) * panel_stride(CcqPanels{nullptr, in});
}

void pack_fp8(const Linear& w, const TensorView& rows, int64_t first_row, ThreadPool& pool) {
  const int64_t panels = num_panels(rows.shape[0]), first = first_row / kPanel;
  pool.parallel_for(ceil_div(panels, kTilePanels), [&](int64_t tile, int) {
    const int64_t panel = tile * kTilePanels, count = std::min(kTilePanels, panels - panel);
    encode_fp8_tile(read_tile(rows, panel * kPanel, count * kPanel), fp8_panels(w), first + panel,
                    count);
  });
}

void pack_ccq(const Linear& w, const TensorView& rows, int64_t first_row, ThreadPool& pool) {
  pool.parallel_for(num_panels(rows.shape[0]), [&](int64_t panel, int) {
    encode_ccq_panel(read_tile(rows, panel * kPanel, kPanel), ccq_panels(w),
                     first_row / kPanel + panel);
  });
}

// Outputs behind the last stay zeros, as the memory was.
void place_fp8(const Linear& w, const EncodedRows& rows, int64_t first_row, ThreadPool& pool) {
  pool.parallel_for(num_panels(rows.count), [&](int64_t p, int) {
    const int64_t end = std::min((p + 1) * kPanel, rows.count);
    for (int64_t row = p * kPanel; row < end; ++row)
      place_fp8_row(rows, row, fp8_panels(w), first_row / kPanel + p, row % kPanel);
  });
}

void place_ccq(const Linear& w, const EncodedRows& rows, int64_t first_row, ThreadPool& pool) {
  pool.parallel_for(num_panels(rows.count), [&](int64_t p, int) {
    const int64_t end = std::min((p + 1) * kPanel, rows.count);
    for (int64_t row = p * kPanel; row < end; ++row)
      place_ccq_row(rows, row, ccq_panels(w), first_row / kPanel + p, row % kPanel);
  });
}

}  // namespace erne::cpu
