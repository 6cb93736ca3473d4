// Linear layers with fp8 activations: numbers that bfloat16 holds exactly are multiplied in groups
// of k and their scales enter once for each, "fp8" in arithmetic.h. Written once for all vector
// instruction sets, in terms of cpu/lanes/lanes.h. Everything is internal to the kernel file that
// includes this.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu/arithmetic.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/panel_tile.h"
#include "cpu/lanes/lane_parts.h"
#include "cpu/lanes/lanes.h"
#include "cpu/packing/encoded_panels.h"

namespace erne::cpu {
namespace {

// ---- activations ----

using Number = std::conditional_t<kMultipliesPairs, Bf16, float>;

template <class T>
void round_group(const T* x, int64_t count, Number* y, float* scale) {
  Floats most = broadcast(0), poison = broadcast(0);  // poison: 0, or NaN where an x is not finite
  for (int64_t i = 0; i < count; i += kLanes) {
    const Floats v = load_part(x + i, count - i);
    most = max_of(most, absolute(v));
    poison = fma(v, broadcast(0), poison);
  }
  const float damage = combine(poison), a = largest(most);
  constexpr float kLeast = 1e-10f, kLargest = 448.0f;
  const float floored = a > kLeast ? a : kLeast;
  const Floats factor = broadcast(kLargest / floored);
  *scale = floored / kLargest + damage;
  for (int64_t i = 0; i < count; i += kLanes)
    store_part(y + i, rounded_to_fp8(load_part(x + i, count - i) * factor), count - i);
}

template <class T>
void round_rows(const Fp8RoundTask& task) {
  const int64_t groups = (task.in + kFp8Group - 1) / kFp8Group;
  for (int64_t row = 0; row < task.num_rows; ++row) {
    const T* x = static_cast<const T*>(task.x) + row * task.in;
    Number* y = static_cast<Number*>(task.y.data) + row * task.y.stride;
    for (int64_t g = 0; g < groups; ++g)
      round_group(x + g * kFp8Group, smaller(kFp8Group, task.in - g * kFp8Group), y + g * kFp8Group,
                  &task.y.scales[row * groups + g]);
  }
}

inline void round_to_fp8(const Fp8RoundTask& task) {
  task.type == DType::kBf16 ? round_rows<Bf16>(task) : round_rows<float>(task);
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
struct CodeNumbers {
  const CodePanels& panels;
  int64_t in;
};
template <int bits>
void store_numbers(const CodeNumbers<bits>& w, int64_t panel, int64_t k, int64_t count,
                   Number* out) {
  const Floats middle = broadcast(1 << (bits - 1));
  for (int64_t i = 0; i < count; i += kCodeStep) {
    const uint8_t* bytes = panel_codes(w.panels, panel, k + i);
    __builtin_prefetch(bytes + kPrefetchBytes);
    const Codes codes = load_codes(bytes);
    const Codes parts[] = {
        bits == 4 ? low_halves(codes) : codes,
        bits == 4 ? high_halves(codes) : load_codes(bytes + step_bytes(bits) / 2)};
    for (int j = 0; j < kCodeStep; j += 2, out += 2 * kPanel)
      store_pair(out, converted(codes_of(parts[j / 4], j % 4)) - middle,
                 converted(codes_of(parts[j / 4], j % 4 + 1)) - middle);
  }
}
template <int bits>
Floats scales_of(const CodeNumbers<bits>& w, int64_t panel, int64_t k) {
  return load(panel_scales(w.panels, panel, k / w.panels.run));
}
template <int bits>
constexpr float unit_of(const CodeNumbers<bits>&) {
  return 1;
}

// ---- products ----

// Some panels times all rows: a group's numbers are made once and serve from the cache.
template <class Weight>
struct Fp8Tile {
  static constexpr int64_t kNumbers = kFp8Group * kPanel, kStride = kLinearPanels * kPanel;

  const Fp8LinearTask& task;
  const Weight& w;
  int64_t panel, num_panels;
  Number* numbers;      // [num_panels, kNumbers]
  float *sums, *total;  // [rows, kStride]

  void add_group(int64_t g) const {
    const int64_t k = g * kFp8Group, count = smaller(kFp8Group, w.in - k);
    const int64_t groups = (w.in + kFp8Group - 1) / kFp8Group;
    for (int64_t p = 0; p < num_panels; ++p)
      store_numbers(w, panel + p, k, count, numbers + p * kNumbers);
    const RowSpan<const Number> x{static_cast<const Number*>(task.x.data) + k, task.x.stride};
    multiply(task.num_rows, PanelSpan<Number>{numbers, kNumbers, 0}, num_panels, count, x,
             {sums, kStride}, TileMode::kStore);
    const Floats unit = broadcast(unit_of(w));
    for (int64_t p = 0; p < num_panels; ++p) {
      const Floats scale = scales_of(w, panel + p, k);
      for (int64_t row = 0; row < task.num_rows; ++row) {
        const int64_t at = row * kStride + p * kPanel;
        const Floats so_far = g == 0 ? broadcast(0) : load(total + at);
        const Floats scales = broadcast(task.x.scales[row * groups + g]) * scale;
        store(total + at, fma(load(sums + at) * unit, scales, so_far));
      }
    }
  }
  template <class Y>
  void store_rows() const {
    for (int64_t p = 0; p < num_panels; ++p) {
      const int64_t column = (panel + p) * kPanel;
      for (int64_t row = 0; row < task.num_rows; ++row)
        store_part(static_cast<Y*>(task.y) + row * task.y_stride + column,
                   load(total + row * kStride + p * kPanel), task.out - column);
    }
  }
};

template <class Weight>
void fp8_linear_of(const Weight& w, const Fp8LinearTask& task, float* scratch) {
  float* const sums = scratch + kLinearPanels * kFp8Group * kPanel;
  for (int64_t panel = task.first_panel; panel < task.end_panel; panel += kLinearPanels) {
    const Fp8Tile<Weight> tile{task,
                               w,
                               panel,
                               smaller(kLinearPanels, task.end_panel - panel),
                               reinterpret_cast<Number*>(scratch),
                               sums,
                               sums + kLinearScratch};
    for (int64_t g = 0; g * kFp8Group < w.in; ++g) tile.add_group(g);
    task.y_type == DType::kBf16 ? tile.template store_rows<Bf16>()
                                : tile.template store_rows<float>();
  }
}

inline void fp8_linear(const Fp8LinearTask& task, float* scratch) {
  if (task.is_fp8)
    fp8_linear_of(task.fp8, task, scratch);
  else if (task.codes.bits == 4)
    fp8_linear_of(CodeNumbers<4>{task.codes, task.codes.in}, task, scratch);
  else
    fp8_linear_of(CodeNumbers<8>{task.codes, task.codes.in}, task, scratch);
}

}  // namespace
}  // namespace erne::cpu
