// Linear layers with fp8 rows of activations and weights whose numbers bfloat16 holds exactly, fp8
// and integers: numbers are multiplied in groups of k and their scales enter once for each, "fp8
// rows" in arithmetic.h. Written once for all vector instruction sets, in terms of
// cpu/lanes/lanes.h. Everything is internal to the kernel file that includes this.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu/arithmetic.h"
#include "cpu/kernels/decode_panels.h"
#include "cpu/kernels/extent.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/panel_tile.h"
#include "cpu/lanes/lane_parts.h"
#include "cpu/lanes/lanes.h"
#include "cpu/packing/fp8_panels.h"
#include "cpu/packing/integer_panels.h"
#include "tensor/fp8.h"

namespace erne::cpu {
namespace {

// ---- activations ----

using Number = std::conditional_t<kMultipliesPairs, Bf16, float>;

template <class T>
void round_group(const T* x, int64_t count, Number* y, float* scale) {
  const auto [a, damage] = extent_of(x, count);
  const float floored = a > kFp8LeastLargest ? a : kFp8LeastLargest;
  const Floats factor = broadcast(kFp8Largest / floored);
  *scale = floored / kFp8Largest + damage;
  for (int64_t i = 0; i < count; i += kLanes)
    store_part(y + i, rounded_to_fp8(load_part(x + i, count - i) * factor), count - i);
}

template <class T>
void to_fp8_rows_typed(const ConvertTask& task) {
  for (int64_t row = 0; row < task.num_rows; ++row) {
    const T* x = static_cast<const T*>(task.x) + row * task.in;
    Number* y = numbers_of<Number>(task.y) + row * task.y.stride;
    for (int64_t g = 0; g < task.y.groups; ++g)
      round_group(x + g * kFp8Group, smaller(kFp8Group, task.in - g * kFp8Group), y + g * kFp8Group,
                  &task.y.scales[row * task.y.groups + g]);
  }
}

inline void to_fp8_rows(const ConvertTask& task) {
  task.type == DType::kBf16 ? to_fp8_rows_typed<Bf16>(task) : to_fp8_rows_typed<float>(task);
}

// ---- weights ----

// Inputs [k, k + count) of a panel as numbers in the order of panels.h, times what unit_of() says
// one over; and the scales of its outputs there.
inline void store_numbers(const Fp8Panels& w, int64_t panel, int64_t k, int64_t count,
                          Number* out) {
  const Fp8* codes = panel_codes(w, panel, k);
  for (int64_t i = 0; i < count; i += 2, codes += 2 * kPanel, out += 2 * kPanel) {
    __builtin_prefetch(codes + 2 * kPrefetchBytes);
    store_pair(out, load_256th(codes), load_256th(codes + kPanel));
  }
}
inline Floats scales_of(const Fp8Panels& w, int64_t panel, int64_t k) {
  return load(panel_scales(w, panel, k / kFp8Group));
}
constexpr float unit_of(const Fp8Panels&) {
  return 256;
}

template <int bits>
struct IntegerNumbers : IntegerPanels {};
template <int bits>
void store_numbers(const IntegerNumbers<bits>& w, int64_t panel, int64_t k, int64_t count,
                   Number* out) {
  const Floats middle = broadcast(1 << (bits - 1));
  for (int64_t i = 0; i < count; i += kCodeStep) {
    const uint8_t* bytes = panel_codes(w, panel, k + i);
    __builtin_prefetch(bytes + kPrefetchBytes);
    const CodeStep step = load_step<bits>(bytes);
    for (int j = 0; j < kCodeStep; j += 2, out += 2 * kPanel)
      store_pair(out, step.at(j) - middle, step.at(j + 1) - middle);
  }
}
template <int bits>
Floats scales_of(const IntegerNumbers<bits>& w, int64_t panel, int64_t k) {
  return load(panel_scales(w, panel, k / w.group));
}
template <int bits>
constexpr float unit_of(const IntegerNumbers<bits>&) {
  return 1;
}

// ---- products ----

// Some panels times all rows: a group's numbers are made once and serve from the cache.
template <class Weight>
struct Fp8RowTile {
  static constexpr int64_t kNumbers = kFp8Group * kPanel, kStride = kLinearPanels * kPanel;

  const EncodedLinearTask& task;
  const Weight& w;
  int64_t panel, num_panels;
  Number* numbers;      // [num_panels, kNumbers]
  float *sums, *total;  // [rows, kStride]

  void add_group(int64_t g) const {
    const int64_t k = g * kFp8Group, count = smaller(kFp8Group, w.in - k);
    const int64_t groups = task.x.groups, num_rows = task.y.num_rows;
    for (int64_t p = 0; p < num_panels; ++p)
      store_numbers(w, panel + p, k, count, numbers + p * kNumbers);
    const RowSpan<const Number> x{numbers_of<const Number>(task.x) + k, task.x.stride};
    multiply(num_rows, PanelSpan<Number>{numbers, kNumbers, 0}, num_panels, count, x,
             {sums, kStride}, TileMode::kStore);
    const Floats unit = broadcast(unit_of(w));
    for (int64_t p = 0; p < num_panels; ++p) {
      const Floats scale = scales_of(w, panel + p, k);
      for (int64_t row = 0; row < num_rows; ++row) {
        const int64_t at = row * kStride + p * kPanel;
        const Floats so_far = g == 0 ? broadcast(0) : load(total + at);
        const Floats scales = broadcast(task.x.scales[row * groups + g]) * scale;
        store(total + at, fma(load(sums + at) * unit, scales, so_far));
      }
    }
  }
  template <class Y>
  void store_outputs() const {
    for (int64_t p = 0; p < num_panels; ++p) {
      const int64_t column = (panel + p) * kPanel;
      for (int64_t row = 0; row < task.y.num_rows; ++row)
        store_part(static_cast<Y*>(task.y.y) + row * task.y.stride + column,
                   load(total + row * kStride + p * kPanel), task.y.out - column);
    }
  }
};

template <class Weight>
void fp8_row_linear_of(const Weight& w, const EncodedLinearTask& task, float* scratch) {
  float* const sums = scratch + kLinearPanels * kFp8Group * kPanel;
  const int64_t end = task.y.end_panel;
  for (int64_t panel = task.y.first_panel; panel < end; panel += kLinearPanels) {
    const Fp8RowTile<Weight> tile{task,
                                  w,
                                  panel,
                                  smaller(kLinearPanels, end - panel),
                                  reinterpret_cast<Number*>(scratch),
                                  sums,
                                  sums + kLinearScratch};
    for (int64_t g = 0; g < task.x.groups; ++g) tile.add_group(g);
    task.y.type == DType::kBf16 ? tile.template store_outputs<Bf16>()
                                : tile.template store_outputs<float>();
  }
}

inline void fp8_row_linear_fp8(const EncodedLinearTask& task, float* scratch) {
  fp8_row_linear_of(fp8_panels(task.weight), task, scratch);
}
inline void fp8_row_linear_integers(const EncodedLinearTask& task, float* scratch) {
  const IntegerPanels w = integer_panels(task.weight);
  w.bits == 4 ? fp8_row_linear_of(IntegerNumbers<4>{w}, task, scratch)
              : fp8_row_linear_of(IntegerNumbers<8>{w}, task, scratch);
}

}  // namespace
}  // namespace erne::cpu
