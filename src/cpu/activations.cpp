#include "cpu/activations.h"

#include <algorithm>
#include <cstring>

#include "cpu/machine/row_tasks.h"

namespace erne::cpu {
namespace {

// Numbers, then scales, then sums.
ActivationRows rows_at(Scratch& scratch, DType type, int64_t stride, int64_t groups,
                       int64_t num_rows) {
  const int64_t read_rows = num_rows + (type == DType::kI8 ? kRowPadding : 0);
  const int64_t number_bytes =
      round_up(read_rows * stride * static_cast<int64_t>(dtype_bytes(type)), 64);
  const int64_t num_scales = num_rows * groups;
  std::byte* data =
      scratch.bytes(number_bytes + 2 * num_scales * static_cast<int64_t>(sizeof(float)));
  auto* scales = reinterpret_cast<float*>(data + number_bytes);
  return {type, data, stride, groups, scales, reinterpret_cast<int32_t*>(scales + num_scales)};
}

// Numbers from one row to the next. The padding keeps rows of a power-of-two width from falling
// into the same few sets of the cache.
int64_t padded_stride(DType type, int64_t in) {
  const int64_t unit = type == DType::kI8 ? kCodePadding : kPanel;
  return round_up(in, unit) + unit;
}

int64_t row_bytes(const ActivationRows& rows) {
  return rows.stride * static_cast<int64_t>(dtype_bytes(rows.type));
}

ActivationRows rows_of(const TensorView& x) {
  return {.type = x.dtype, .data = x.as<std::byte>(), .stride = x.shape[1]};
}

void copy_row(const ActivationRows& from, const ActivationRows& to) {
  std::memcpy(to.data, from.data, row_bytes(from));
  std::copy_n(from.scales, from.groups, to.scales);
  std::copy_n(from.sums, from.groups, to.sums);
}

}  // namespace

ActivationRows rows_from(const ActivationRows& rows, int64_t row) {
  return {rows.type,
          rows.data + row * row_bytes(rows),
          rows.stride,
          rows.groups,
          rows.groups == 0 ? nullptr : rows.scales + row * rows.groups,
          rows.groups == 0 ? nullptr : rows.sums + row * rows.groups};
}

ActivationRows Activations::chosen(const ActivationRows& rows, std::span<const int32_t> source) {
  if (source.empty()) return rows;
  const ActivationRows out =
      rows_at(chosen_, rows.type, rows.stride, rows.groups, std::ssize(source));
  for_rows(pool_, std::ssize(source), rows.stride, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row)
      copy_row(rows_from(rows, source[row]), rows_from(out, row));
  });
  return out;
}

// Once for all columns.
ActivationRows Activations::widened(const TensorView& x) {
  const int64_t rows = x.shape[0], in = x.shape[1];
  const ActivationRows out = rows_at(rows_, DType::kF32, padded_stride(DType::kF32, in), 0, rows);
  for_rows(pool_, rows, in, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row)
      kernels_.widen(x.as<const Bf16>() + row * in, in, numbers_of<float>(rows_from(out, row)));
  });
  return out;
}

ActivationRows Activations::as_given(const TensorView& x, std::span<const int32_t> source,
                                     bool in_pairs) {
  return chosen(in_pairs || x.dtype == DType::kF32 ? rows_of(x) : widened(x), source);
}

ActivationRows Activations::as_int8(const TensorView& x, std::span<const int32_t> source,
                                    std::span<const Product> products) {
  const int64_t in = x.shape[1], group = products[0].w->format->input_group();
  const int64_t stride = padded_stride(DType::kI8, in), groups = ceil_div(in, group);
  const auto convert = [&](const ActivationRows& from, const ActivationRows& to, int64_t first,
                           int64_t num_rows, float largest) {
    for_rows(pool_, num_rows, in, [&](int64_t row, int64_t count) {
      kernels_.to_int8_rows({.type = x.dtype,
                             .x = rows_from(from, first + row).data,
                             .num_rows = count,
                             .in = in,
                             .y = rows_from(to, first + row),
                             .group = group,
                             .largest = largest});
    });
  };
  const auto is_fixed = [](const Product& product) { return product.w->input_largest > 0; };
  if (std::ranges::none_of(products, is_fixed)) {
    const ActivationRows all = rows_at(rows_, DType::kI8, stride, groups, x.shape[0]);
    convert(rows_of(x), all, 0, x.shape[0], 0);
    return chosen(all, source);
  }
  // One row of x may need several scales: rows are chosen first.
  const int64_t num_rows = source.empty() ? x.shape[0] : std::ssize(source);
  const ActivationRows given = chosen(rows_of(x), source);
  const ActivationRows all = rows_at(rows_, DType::kI8, stride, groups, num_rows);
  for (const Product& product : products)
    convert(given, all, product.first_row, product.num_rows, product.w->input_largest);
  return all;
}

ActivationRows Activations::as_fp8(const TensorView& x, std::span<const int32_t> source) {
  const int64_t rows = x.shape[0], in = x.shape[1];
  const DType type = kernels_.multiplies_pairs ? DType::kBf16 : DType::kF32;
  const ActivationRows all =
      rows_at(rows_, type, padded_stride(type, in), ceil_div(in, kFp8Group), rows);
  for_rows(pool_, rows, in, [&](int64_t first, int64_t count) {
    kernels_.to_fp8_rows({.type = x.dtype,
                          .x = row_of(x, first),
                          .num_rows = count,
                          .in = in,
                          .y = rows_from(all, first)});
  });
  return chosen(all, source);
}

}  // namespace erne::cpu
