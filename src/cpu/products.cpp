#include "cpu/products.h"

#include <algorithm>
#include <cstring>

#include "cpu/machine/row_tasks.h"
#include "cpu/packing/encoded.h"
#include "cpu/packing/integer.h"
#include "cpu/packing/panels.h"

namespace erne::cpu {
namespace {

// The rows from `row` on.
QuantizedRows rows_from(const QuantizedRows& rows, int64_t groups, int64_t row) {
  return {rows.data + row * rows.stride, rows.stride, rows.scales + row * groups,
          rows.sums + row * groups};
}

// Room for rows as 8-bit integers. The padding keeps rows of a power-of-two width from falling into
// the same few sets of the cache.
QuantizedRows allocate_int8(Scratch& scratch, int64_t rows, int64_t in, int64_t groups) {
  const int64_t stride = round_up(in, 64) + 64;
  float* scales = scratch.floats(rows * 2 * groups + (rows + kRowPadding) * stride / 4);
  auto* sums = reinterpret_cast<int32_t*>(scales + rows * groups);
  return {reinterpret_cast<int8_t*>(sums + rows * groups), stride, scales, sums};
}

}  // namespace

// bfloat16 rows are widened once for all columns. The padding is there for the same reason.
Products::Rows Products::as_float(const TensorView& x) {
  const int64_t rows = x.shape[0], width = x.shape[1];
  if (x.dtype == DType::kF32) return {x.as<std::byte>(), DType::kF32, width};
  const int64_t stride = ceil_div(width, kPanel) * kPanel + kPanel;
  float* out = rows_.floats(rows * stride);
  for_rows(pool_, rows, width, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row)
      kernels_.widen(x.as<const Bf16>() + row * width, width, out + row * stride);
  });
  return {reinterpret_cast<std::byte*>(out), DType::kF32, stride};
}

Fp8Rows Products::allocate_fp8(Scratch& scratch, int64_t rows, int64_t in) const {
  const int64_t stride = round_up(in, kPanel) + kPanel, groups = ceil_div(in, kFp8Group);
  const int64_t row_floats = kernels_.bf16_rows ? stride / 2 : stride;
  float* data = scratch.floats(rows * (row_floats + groups));
  return {data, stride, data + rows * row_floats};
}

Fp8Rows Products::fp8_rows_from(const Fp8Rows& rows, int64_t in, int64_t row) const {
  const int64_t bytes = row * rows.stride * (kernels_.bf16_rows ? 2 : 4);
  return {static_cast<std::byte*>(rows.data) + bytes, rows.stride,
          rows.scales + row * ceil_div(in, kFp8Group)};
}

Fp8Rows Products::as_fp8(const TensorView& x) {
  const int64_t rows = x.shape[0], in = x.shape[1];
  const Fp8Rows all = allocate_fp8(rows_, rows, in);
  for_rows(pool_, rows, in, [&](int64_t first, int64_t count) {
    kernels_.round_to_fp8({.type = x.dtype,
                           .x = row_of(x, first),
                           .num_rows = count,
                           .in = in,
                           .y = fp8_rows_from(all, in, first)});
  });
  return all;
}

Fp8Rows Products::chosen(const Fp8Rows& rows, int64_t in, std::span<const int32_t> source) {
  if (source.empty()) return rows;
  const Fp8Rows out = allocate_fp8(chosen_, std::ssize(source), in);
  const int64_t row_bytes = rows.stride * (kernels_.bf16_rows ? 2 : 4);
  for_rows(pool_, std::ssize(source), rows.stride, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      const Fp8Rows from = fp8_rows_from(rows, in, source[row]);
      const Fp8Rows to = fp8_rows_from(out, in, row);
      std::memcpy(to.data, from.data, row_bytes);
      std::copy_n(from.scales, ceil_div(in, kFp8Group), to.scales);
    }
  });
  return out;
}

QuantizedRows Products::as_int8(const TensorView& x, const CodePanels& w) {
  const int64_t groups = num_groups(w);
  const QuantizedRows all = allocate_int8(rows_, x.shape[0], w.in, groups);
  for_rows(pool_, x.shape[0], w.in, [&](int64_t first, int64_t count) {
    kernels_.quantize({.type = x.dtype,
                       .x = row_of(x, first),
                       .num_rows = count,
                       .in = w.in,
                       .group = w.group,
                       .y = rows_from(all, groups, first)});
  });
  return all;
}

Products::Rows Products::chosen(const Rows& rows, std::span<const int32_t> source) {
  if (source.empty()) return rows;
  const auto row_bytes = static_cast<int64_t>(rows.stride * dtype_bytes(rows.type));
  auto* out =
      reinterpret_cast<std::byte*>(chosen_.floats(ceil_div(std::ssize(source) * row_bytes, 4)));
  for_rows(pool_, std::ssize(source), rows.stride, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row)
      std::memcpy(out + row * row_bytes, rows.from(source[row]), row_bytes);
  });
  return {out, rows.type, rows.stride};
}

QuantizedRows Products::chosen(const QuantizedRows& rows, int64_t groups,
                               std::span<const int32_t> source) {
  if (source.empty()) return rows;
  const QuantizedRows out = allocate_int8(chosen_, std::ssize(source), rows.stride - 64, groups);
  for_rows(pool_, std::ssize(source), rows.stride, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      const QuantizedRows from = rows_from(rows, groups, source[row]);
      const QuantizedRows to = rows_from(out, groups, row);
      std::memcpy(to.data, from.data, rows.stride);
      std::copy_n(from.scales, groups, to.scales);
      std::copy_n(from.sums, groups, to.sums);
    }
  });
  return out;
}

QuantizedRows Products::as_fixed_int8(std::span<const Product> products, const TensorView& x,
                                      std::span<const int32_t> source) {
  const CodePanels w = code_panels(*products[0].w);
  const int64_t groups = num_groups(w);
  const Rows given = chosen(Rows{x.as<std::byte>(), x.dtype, w.in}, source);
  const int64_t rows = source.empty() ? x.shape[0] : std::ssize(source);
  const QuantizedRows all = allocate_int8(rows_, rows, w.in, groups);
  for (const Product& product : products)
    for_rows(pool_, product.num_rows, w.in, [&](int64_t first, int64_t count) {
      const int64_t row = product.first_row + first;
      kernels_.quantize({.type = x.dtype,
                         .x = given.from(row),
                         .num_rows = count,
                         .in = w.in,
                         .group = w.group,
                         .y = rows_from(all, groups, row),
                         .largest = product.w->input_largest});
    });
  return all;
}

void Products::cut_tiles(std::span<const Product> products) {
  tiles_.clear();
  const int64_t panels = num_panels(products[0].w->out);
  // With few rows a thread streams weights: longer runs of them, while there are enough to share
  // out.
  const int64_t shares = panels * std::ssize(products) / (int64_t{4} * pool_.threads());
  for (const Product& product : products) {
    const int64_t longest = product.num_rows <= kLinearPanels ? 8 * kLinearPanels : kLinearPanels;
    const int64_t step = std::clamp<int64_t>(shares / kLinearPanels * kLinearPanels,
                                             std::min<int64_t>(kLinearPanels, panels), longest);
    for (int64_t panel = 0; panel < panels; panel += step)
      for (int64_t row = 0; row < product.num_rows; row += kLinearRows)
        tiles_.push_back({product.w, product.first_row + row,
                          std::min<int64_t>(kLinearRows, product.num_rows - row), panel,
                          std::min(panel + step, panels)});
  }
}

bool Products::decodes(const WeightFormat& format, LinearInput input) const {
  const bool in_integers =
      format.encoding == Encoding::kSymmetricInt && input == LinearInput::kInt8;
  const bool in_pairs = input == LinearInput::kFp8 && kernels_.bf16_rows;
  return format.is_quantized() && !in_integers && !in_pairs;
}

void Products::run(std::span<const Product> products, const TensorView& x,
                   std::span<const int32_t> source, const TensorView& y) {
  cut_tiles(products);
  const Linear& w = *products[0].w;
  if (!w.format->is_quantized()) return plain(x, source, y);
  switch (w.input) {
    case LinearInput::kAsGiven:
      return decoded(x, source, y);
    case LinearInput::kInt8:
      return codes(products, x, source, y);
    case LinearInput::kFp8:
      return fp8(x, source, y);
  }
}

void Products::plain(const TensorView& x, std::span<const int32_t> source, const TensorView& y) {
  const Linear& first = *tiles_[0].w;
  const bool as_given = kernels_.bf16_rows && x.dtype == DType::kBf16 &&
                        first.data.dtype == DType::kBf16 && first.in % 2 == 0;
  const bool in_unit_order = as_given && first.unit_order && kernels_.tile_linear != nullptr;
  const Rows rows =
      chosen(as_given ? Rows{x.as<std::byte>(), DType::kBf16, first.in} : as_float(x), source);
  pool_.parallel_for(std::ssize(tiles_), [&](int64_t index, int worker) {
    const Tile& tile = tiles_[index];
    const Linear& w = *tile.w;
    const LinearTask task = {.weight = DeviceAccess::pointer(w.data.data),
                             .weight_type = w.data.dtype,
                             .in = w.in,
                             .out = w.out,
                             .first_panel = tile.panel,
                             .end_panel = tile.end_panel,
                             .x = rows.from(tile.row),
                             .x_type = rows.type,
                             .x_stride = rows.stride,
                             .num_rows = tile.num_rows,
                             .y = row_of(y, tile.row),
                             .y_type = y.dtype,
                             .y_stride = w.out};
    if (in_unit_order)
      kernels_.tile_linear(task);
    else
      kernels_.linear(task, worker_scratch_[worker].floats(kLinearScratch));
  });
}

void Products::codes(std::span<const Product> products, const TensorView& x,
                     std::span<const int32_t> source, const TensorView& y) {
  const CodePanels first = code_panels(*products[0].w);
  const int64_t groups = num_groups(first);
  const bool is_fixed =
      std::ranges::any_of(products, [](const Product& p) { return p.w->input_largest > 0; });
  const QuantizedRows rows =
      is_fixed ? as_fixed_int8(products, x, source) : chosen(as_int8(x, first), groups, source);
  pool_.parallel_for(std::ssize(tiles_), [&](int64_t task, int worker) {
    const Tile& tile = tiles_[task];
    const CodePanels panels = code_panels(*tile.w);
    float* scratch = worker_scratch_[worker].floats(code_scratch(panels) / 4);
    kernels_.code_linear({.weight = panels,
                          .out = tile.w->out,
                          .first_panel = tile.panel,
                          .end_panel = tile.end_panel,
                          .x = rows_from(rows, groups, tile.row),
                          .num_rows = tile.num_rows,
                          .y = row_of(y, tile.row),
                          .y_type = y.dtype,
                          .y_stride = tile.w->out},
                         reinterpret_cast<uint8_t*>(scratch));
  });
}

void Products::fp8(const TensorView& x, std::span<const int32_t> source, const TensorView& y) {
  const Fp8Rows rows = chosen(as_fp8(x), x.shape[1], source);
  pool_.parallel_for(std::ssize(tiles_), [&](int64_t index, int worker) {
    const Tile& tile = tiles_[index];
    const Linear& w = *tile.w;
    const bool is_fp8 = w.format->encoding == Encoding::kBlockFp8;
    kernels_.fp8_linear({.is_fp8 = is_fp8,
                         .fp8 = is_fp8 ? fp8_panels(w) : Fp8Panels{},
                         .codes = is_fp8 ? CodePanels{} : code_panels(w),
                         .out = w.out,
                         .first_panel = tile.panel,
                         .end_panel = tile.end_panel,
                         .x = fp8_rows_from(rows, w.in, tile.row),
                         .num_rows = tile.num_rows,
                         .y = row_of(y, tile.row),
                         .y_type = y.dtype,
                         .y_stride = w.out},
                        worker_scratch_[worker].floats(kFp8Scratch));
  });
}

void Products::decode_panel(const Linear& w, int64_t panel, DType type, float* out) const {
  switch (w.format->encoding) {
    case Encoding::kPlain:
      break;
    case Encoding::kSymmetricInt:
      return kernels_.decode_panel(code_panels(w), panel, out);
    case Encoding::kBlockFp8:
      return kernels_.decode_fp8_panel(fp8_panels(w), panel, out);
    case Encoding::kCcq:
      return type == DType::kBf16
                 ? kernels_.decode_ccq_pairs(ccq_panels(w), panel, reinterpret_cast<Bf16*>(out))
                 : kernels_.decode_ccq_panel(ccq_panels(w), panel, out);
  }
  check_failed(__FILE__, __LINE__, "a quantised encoding", w.format->name);
}

// Some panels at a time become numbers and are multiplied as if they had always been: the values,
// and so the bits, of a plain matrix of decoded weights. Numbers are float32, or bfloat16 where
// that holds the weights and the activations are that.
void Products::decoded(const TensorView& x, std::span<const int32_t> source, const TensorView& y) {
  const Linear& first = *tiles_[0].w;
  const bool in_pairs = first.format->encoding == Encoding::kCcq && kernels_.bf16_rows &&
                        x.dtype == DType::kBf16 && first.in % 2 == 0;
  const DType type = in_pairs ? DType::kBf16 : DType::kF32;
  const Rows rows =
      chosen(in_pairs ? Rows{x.as<std::byte>(), DType::kBf16, first.in} : as_float(x), source);
  const int64_t panel_floats =
      panel_stride(type, first.in) * static_cast<int64_t>(dtype_bytes(type)) / 4;
  pool_.parallel_for(std::ssize(tiles_), [&](int64_t task, int worker) {
    const Tile& tile = tiles_[task];
    const Linear& w = *tile.w;
    float* scratch = worker_scratch_[worker].floats(kLinearScratch + kLinearPanels * panel_floats);
    float* decoded = scratch + kLinearScratch;
    for (int64_t panel = tile.panel; panel < tile.end_panel; panel += kLinearPanels) {
      const int64_t at_once = std::min<int64_t>(kLinearPanels, tile.end_panel - panel);
      for (int64_t p = 0; p < at_once; ++p)
        decode_panel(w, panel + p, type, decoded + p * panel_floats);
      const int64_t column = panel * kPanel;
      kernels_.linear({.weight = decoded,
                       .weight_type = type,
                       .in = w.in,
                       .out = w.out - column,
                       .first_panel = 0,
                       .end_panel = at_once,
                       .x = rows.from(tile.row),
                       .x_type = rows.type,
                       .x_stride = rows.stride,
                       .num_rows = tile.num_rows,
                       .y = row_of(y, tile.row) + column * dtype_bytes(y.dtype),
                       .y_type = y.dtype,
                       .y_stride = w.out},
                      scratch);
    }
  });
}

}  // namespace erne::cpu
