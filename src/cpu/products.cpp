#include "cpu/products.h"

#include <algorithm>

#include "cpu/machine/row_tasks.h"
#include "cpu/packing/panel_format.h"

namespace erne::cpu {

void Products::cut_parts(std::span<const Product> products) {
  parts_.clear();
  const int64_t panels = num_panels(products[0].w->out);
  // With few rows a thread streams weights: more panels in a row, while there are enough to share
  // out.
  const int64_t shares = panels * std::ssize(products) / (int64_t{4} * pool_.threads());
  for (const Product& product : products) {
    const int64_t longest = product.num_rows <= kLinearPanels ? 8 * kLinearPanels : kLinearPanels;
    const int64_t step = std::clamp<int64_t>(shares / kLinearPanels * kLinearPanels,
                                             std::min<int64_t>(kLinearPanels, panels), longest);
    for (int64_t panel = 0; panel < panels; panel += step)
      for (int64_t row = 0; row < product.num_rows; row += kLinearRows)
        parts_.push_back({product.w, product.first_row + row,
                          std::min<int64_t>(kLinearRows, product.num_rows - row), panel,
                          std::min(panel + step, panels)});
  }
}

template <class Body>
void Products::for_parts(const TensorView& y, const Body& body) {
  pool_.parallel_for(std::ssize(parts_), [&](int64_t index, int worker) {
    const Part& part = parts_[index];
    const OutputTile tile = {.y = row_of(y, part.row),
                             .type = y.dtype,
                             .stride = part.w->out,
                             .num_rows = part.num_rows,
                             .out = part.w->out,
                             .first_panel = part.first_panel,
                             .end_panel = part.end_panel};
    body(part, packed_weight(*part.w), tile, worker_scratch_[worker]);
  });
}

bool Products::is_decoded(const WeightFormat& format, LinearInput input) const {
  if (!format.is_quantized()) return false;
  const EncodingKernels& kernels = kernels_of(format);
  switch (input) {
    case LinearInput::kAsGiven:
      return true;
    case LinearInput::kInt8:
      return kernels.int8_row_linear == nullptr;
    case LinearInput::kFp8:
      // Without products of pairs, numbers become float32 before they are multiplied.
      return kernels.fp8_row_linear == nullptr || !kernels_.multiplies_pairs;
  }
  return true;
}

void Products::run(std::span<const Product> products, const TensorView& x,
                   std::span<const int32_t> source, const TensorView& y) {
  cut_parts(products);
  const Linear& w = *products[0].w;
  if (!w.format->is_quantized()) return multiply_plain(w, x, source, y);
  switch (w.input) {
    case LinearInput::kAsGiven:
      return multiply_decoded(w, x, source, y);
    case LinearInput::kInt8:
      return multiply_int8(products, x, source, y);
    case LinearInput::kFp8:
      return multiply_fp8(w, x, source, y);
  }
}

void Products::multiply_plain(const Linear& w, const TensorView& x, std::span<const int32_t> source,
                              const TensorView& y) {
  const bool in_pairs = multiplies_pairs_of(x) && w.format->stored == DType::kBf16;
  const bool in_unit_order = in_pairs && w.unit_order && kernels_.tile_linear != nullptr;
  const ActivationRows rows = activations_.as_given(x, source, in_pairs);
  for_parts(y, [&](const Part& part, const PackedWeight& weight, const OutputTile& tile,
                   Scratch& scratch) {
    const LinearTask task = {.weight = weight.data,
                             .weight_type = weight.format->stored,
                             .in = weight.in,
                             .x = rows_from(rows, part.row),
                             .y = tile};
    if (in_unit_order)
      kernels_.tile_linear(task);
    else
      kernels_.linear(task, scratch.floats(kLinearScratch));
  });
}

void Products::multiply_int8(std::span<const Product> products, const TensorView& x,
                             std::span<const int32_t> source, const TensorView& y) {
  const auto linear = kernels_of(*products[0].w->format).int8_row_linear;
  CHECK(linear != nullptr);
  const ActivationRows rows = activations_.as_int8(x, source, products);
  for_parts(y, [&](const Part& part, const PackedWeight& weight, const OutputTile& tile,
                   Scratch& scratch) {
    linear({.weight = weight, .x = rows_from(rows, part.row), .y = tile},
           scratch.bytes(int8_scratch(weight.in)));
  });
}

void Products::multiply_fp8(const Linear& w, const TensorView& x, std::span<const int32_t> source,
                            const TensorView& y) {
  const auto linear = kernels_of(*w.format).fp8_row_linear;
  CHECK(linear != nullptr);
  const ActivationRows rows = activations_.as_fp8(x, source);
  for_parts(y, [&](const Part& part, const PackedWeight& weight, const OutputTile& tile,
                   Scratch& scratch) {
    linear({.weight = weight, .x = rows_from(rows, part.row), .y = tile},
           scratch.floats(kFp8Scratch));
  });
}

void Products::decode_panel(const PackedWeight& w, int64_t panel, DType type,
                            std::byte* out) const {
  const EncodingKernels& kernels = kernels_of(*w.format);
  if (type == DType::kBf16) return kernels.decode_pairs(w, panel, reinterpret_cast<Bf16*>(out));
  const auto decode = kernels.decode != nullptr ? kernels.decode : read_panel;
  decode(w, panel, reinterpret_cast<float*>(out));
}

// Some panels at a time become numbers and are multiplied as if they had always been: the values,
// and so the bits, of a plain matrix of decoded weights. Numbers are float32, or bfloat16 where
// that holds the weights and the activations are that.
void Products::multiply_decoded(const Linear& w, const TensorView& x,
                                std::span<const int32_t> source, const TensorView& y) {
  const bool in_pairs = multiplies_pairs_of(x) && kernels_of(*w.format).decode_pairs != nullptr;
  const DType type = in_pairs ? DType::kBf16 : DType::kF32;
  const ActivationRows rows = activations_.as_given(x, source, in_pairs);
  const int64_t panel_bytes = panel_stride(type, w.in) * static_cast<int64_t>(dtype_bytes(type));
  for_parts(y, [&](const Part& part, const PackedWeight& weight, const OutputTile& tile,
                   Scratch& scratch) {
    float* const sums = scratch.floats(kLinearScratch + kLinearPanels * panel_bytes / 4);
    auto* const decoded = reinterpret_cast<std::byte*>(sums + kLinearScratch);
    for (int64_t panel = part.first_panel; panel < part.end_panel; panel += kLinearPanels) {
      const int64_t count = std::min<int64_t>(kLinearPanels, part.end_panel - panel);
      for (int64_t p = 0; p < count; ++p)
        decode_panel(weight, panel + p, type, decoded + p * panel_bytes);
      // The tile's panels are a matrix of their own, with its columns of y.
      const int64_t column = panel * kPanel;
      OutputTile columns = tile;
      columns.y = static_cast<std::byte*>(tile.y) + column * dtype_bytes(tile.type);
      columns.out = tile.out - column;
      columns.first_panel = 0;
      columns.end_panel = count;
      kernels_.linear({.weight = decoded,
                       .weight_type = type,
                       .in = weight.in,
                       .x = rows_from(rows, part.row),
                       .y = columns},
                      sums);
    }
  });
}

}  // namespace erne::cpu
