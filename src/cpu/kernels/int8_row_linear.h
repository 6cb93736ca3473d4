// Linear layers with int8 activations and integers as weights, written once for all vector
// instruction sets, in terms of cpu/lanes/lanes.h. Everything is internal to the kernel file that
// includes this.
#pragma once

#include <cstdint>

#include "cpu/arithmetic.h"
#include "cpu/kernels/extent.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/panel_tile.h"
#include "cpu/lanes/lane_parts.h"
#include "cpu/lanes/lanes.h"
#include "cpu/packing/integer_panels.h"

namespace erne::cpu {
namespace {

// ---- activations to 8 bits ----

template <class T>
void quantize_group(const T* x, int64_t count, float given, int8_t* q, float* scale, int32_t* sum) {
  const auto [largest_size, damage] = extent_of(x, count);
  const float a = given > 0 ? given : largest_size;
  const bool is_zero = 127 / a == __builtin_inff();
  *scale = is_zero ? damage : a / 127 + damage;
  if (is_zero || damage != 0) {  // NaN is no integer; the scale keeps it
    for (int64_t i = 0; i < count; ++i) q[i] = 0;
    *sum = 0;
    return;
  }
  const Floats inverse = broadcast(127 / a);
  const Floats magic = broadcast(kRoundToInt), limit = broadcast(127);
  Ints total = broadcast_int(0);
  for (int64_t i = 0; i < count; i += kLanes) {
    const Floats product = load_part(x + i, count - i) * inverse;
    const Floats scaled = max_of(broadcast(-127), min_of(limit, product));
    const Ints v = bits_of_floats(scaled + magic) - bits_of_floats(magic);
    total = total + v;
    if (count - i >= kLanes) {
      store_bytes(q + i, v);
    } else {
      int8_t last[kLanes];
      store_bytes(last, v);
      for (int64_t j = i; j < count; ++j) q[j] = last[j - i];
    }
  }
  *sum = sum_of(total);
}

template <class T>
void to_int8_rows_typed(const ConvertTask& task) {
  const ActivationRows& y = task.y;
  for (int64_t row = 0; row < task.num_rows; ++row) {
    const T* x = static_cast<const T*>(task.x) + row * task.in;
    int8_t* q = numbers_of<int8_t>(y) + row * y.stride;
    for (int64_t g = 0; g < y.groups; ++g)
      quantize_group(x + g * task.group, smaller(task.group, task.in - g * task.group),
                     task.largest, q + g * task.group, &y.scales[row * y.groups + g],
                     &y.sums[row * y.groups + g]);
    for (int64_t k = task.in; k < round_up(task.in, kCodePadding); ++k) q[k] = 0;
  }
}

inline void to_int8_rows(const ConvertTask& task) {
  task.type == DType::kBf16 ? to_int8_rows_typed<Bf16>(task) : to_int8_rows_typed<float>(task);
}

// ---- products ----

// Codes of the first or second four of kCodeStep inputs.
template <int bits, int half>
ERNE_INLINE Codes load_half(const uint8_t* w) {
  if constexpr (bits == 8) return load_codes(w + 64 * half);
  const Codes both = load_codes(w);
  return half ? high_halves(both) : low_halves(both);
}

// Sums of one row and P panels, then of R such rows: each four activations are spread over the
// lanes once for all panels, and the codes of a panel are unpacked once for all rows. Nested
// members and not arrays, as in panel_tile.h.
template <int bits, int P>
struct RowDots {
  Dots<bits> dots;
  RowDots<bits, P - 1> rest;

  ERNE_INLINE void begin(Ints* totals, int32_t start) {
    dots.begin(*totals, start);
    rest.begin(totals + 1, start);
  }
  template <int half>
  ERNE_INLINE void add(const uint8_t* w, int64_t panel_stride, Activations x) {
    dots.add(load_half<bits, half>(w), x);
    rest.template add<half>(w + panel_stride, panel_stride, x);
  }
  ERNE_INLINE void drain(Ints* totals) {
    dots.drain(*totals);
    rest.drain(totals + 1);
  }
  // y += the sums, as the integers that the scales stand for.
  ERNE_INLINE void end(const Ints* totals, Floats x_scale, const Floats* scales, Floats* y) const {
    *y = fma(converted(dots.end(*totals)), x_scale * *scales, *y);
    rest.end(totals + 1, x_scale, scales + 1, y + 1);
  }
};
template <int bits>
struct RowDots<bits, 0> {
  void begin(Ints*, int32_t) {}
  template <int half>
  void add(const uint8_t*, int64_t, Activations) {}
  void drain(Ints*) {}
  void end(const Ints*, Floats, const Floats*, Floats*) const {}
};

template <int bits, int R, int P>
struct TileDots {
  RowDots<bits, P> first;
  TileDots<bits, R - 1, P> rest;

  // x_sums, and below x_scales: the row's for the group at hand, `groups` from row to row.
  ERNE_INLINE void begin(Ints* totals, const int32_t* x_sums, int64_t groups) {
    first.begin(totals, -kDotOffset<bits> * *x_sums);
    rest.begin(totals + P, x_sums + groups, groups);
  }
  template <int half>
  ERNE_INLINE void add(const uint8_t* w, int64_t panel_stride, const int8_t* x, int64_t stride) {
    first.template add<half>(w, panel_stride, load_activations(x + 4 * half));
    rest.template add<half>(w, panel_stride, x + stride, stride);
  }
  ERNE_INLINE void drain(Ints* totals) {
    first.drain(totals);
    rest.drain(totals + P);
  }
  ERNE_INLINE void end(const Ints* totals, const float* x_scales, int64_t groups,
                       const Floats* scales, Floats* y) const {
    first.end(totals, broadcast(*x_scales), scales, y);
    rest.end(totals + P, x_scales + groups, groups, scales, y + P);
  }
};
template <int bits, int P>
struct TileDots<bits, 0, P> {
  void begin(Ints*, const int32_t*, int64_t) {}
  template <int half>
  void add(const uint8_t*, int64_t, const int8_t*, int64_t) {}
  void drain(Ints*) {}
  void end(const Ints*, const float*, int64_t, const Floats*, Floats*) const {}
};

// Further ahead than panel_tile.h: a step takes fewer bytes, and the fewer rows share it, the
// sooner.
constexpr int64_t kCodePrefetchBytes = 2048;

// What a step of P panels will read a while later.
template <int bits, int P>
ERNE_INLINE void prefetch_codes(const uint8_t* w, int64_t panel_stride) {
  for (int p = 0; p < P; ++p, w += panel_stride)
    for (int64_t i = 0; i < step_bytes(bits); i += 64)
      __builtin_prefetch(w + kCodePrefetchBytes + i);
}

// Row `row` of y at the columns of a panel.
ERNE_INLINE void store_output(const OutputTile& y, int64_t row, int64_t panel, Floats v) {
  const int64_t first = panel * kPanel, at = row * y.stride + first;
  if (y.type == DType::kBf16)
    store_part(static_cast<Bf16*>(y.y) + at, v, y.out - first);
  else
    store_part(static_cast<float*>(y.y) + at, v, y.out - first);
}

// y of R rows and P panels, `apart` panels from one to the next: a group of k after the other, so
// that rows and panels are read from their beginning to their end.
template <int bits, int R, int P>
void integer_tile(const EncodedLinearTask& task, int64_t row, int64_t panel, int64_t apart) {
  const IntegerPanels w = integer_panels(task.weight);
  const int64_t groups = task.x.groups, stride = apart * panel_stride(w);
  const int8_t* x = numbers_of<int8_t>(task.x) + row * task.x.stride;
  const uint8_t* codes = panel_codes(w, panel, 0);
  Floats sums[R * P];
  for (Floats& sum : sums) sum = broadcast(0);
  for (int64_t g = 0; g < groups; ++g) {
    Ints totals[R * P];
    TileDots<bits, R, P> dots;
    dots.begin(totals, &task.x.sums[row * groups + g], groups);
    const int64_t inputs = smaller(w.input_group, w.in - g * w.input_group);
    for (int64_t steps = (inputs + kCodeStep - 1) / kCodeStep; steps > 0; steps -= kDotSteps) {
      for (int64_t i = smaller(steps, kDotSteps); i > 0; --i) {
        prefetch_codes<bits, P>(codes, stride);
        dots.template add<0>(codes, stride, x, task.x.stride);
        dots.template add<1>(codes, stride, x, task.x.stride);
        codes += step_bytes(bits);
        x += kCodeStep;
      }
      dots.drain(totals);
    }
    Floats scales[P];
    for (int p = 0; p < P; ++p)
      scales[p] = load(panel_scales(w, panel + p * apart, w.group == w.input_group ? g : 0));
    dots.end(totals, &task.x.scales[row * groups + g], groups, scales, sums);
  }
  for (int p = 0; p < P; ++p)
    for (int r = 0; r < R; ++r) store_output(task.y, row + r, panel + p * apart, sums[r * P + p]);
}

template <int bits, int P, int R>
void integer_tile_of(int64_t rows, const EncodedLinearTask& task, int64_t row, int64_t panel,
                     int64_t apart) {
  if (rows == R) return integer_tile<bits, R, P>(task, row, panel, apart);
  if constexpr (R > 1) integer_tile_of<bits, P, R - 1>(rows, task, row, panel, apart);
}

// All rows of P panels, in tiles of nearly equal height.
template <int bits, int P>
void tall_integer_tile(const EncodedLinearTask& task, int64_t panel, int64_t apart) {
  constexpr int64_t kMost = kDotTile<bits> / P < 1 ? 1 : kDotTile<bits> / P;
  constexpr int64_t kRows = kMost < kDotRows ? kMost : kDotRows;
  const int64_t num_rows = task.y.num_rows;
  int64_t row = 0;
  for (int64_t tiles_left = (num_rows + kRows - 1) / kRows; tiles_left > 0; --tiles_left) {
    const int64_t rows = (num_rows - row + tiles_left - 1) / tiles_left;
    integer_tile_of<bits, P, kRows>(rows, task, row, panel, apart);
    row += rows;
  }
}

// P panels at a time, side by side: the task's panels are cut into P strands of neighbours, and the
// i-th panels of all strands are read together, so that each goes on through memory from panel to
// panel.
template <int bits, int P>
void integer_strands(const EncodedLinearTask& task) {
  const int64_t first = task.y.first_panel, end = task.y.end_panel;
  const int64_t length = (end - first + P - 1) / P;
  for (int64_t i = first; i < first + length; ++i) {
    if (i + (P - 1) * length < end) {
      tall_integer_tile<bits, P>(task, i, length);
    } else {  // a last strand may be shorter
      for (int64_t panel = i; panel < end; panel += length)
        tall_integer_tile<bits, 1>(task, panel, length);
    }
  }
}

// The beginnings of P strands at once, not one miss after the other.
template <int P>
void prefetch_strands(const EncodedLinearTask& task) {
  const IntegerPanels w = integer_panels(task.weight);
  const int64_t first = task.y.first_panel, end = task.y.end_panel;
  const int64_t length = (end - first + P - 1) / P;
  for (int64_t panel = first; panel < end; panel += length)
    for (int64_t i = 0; i < kPrefetchBytes; i += 64)
      __builtin_prefetch(panel_codes(w, panel, 0) + i);
}

// Few rows wait for memory, and least for four strands. Many rows take as many panels as leave room
// for a tile of full height.
template <int bits>
void int8_row_linear_of(const EncodedLinearTask& task) {
  constexpr int kFewRowsStrands = 4, kStrands = kDotTile<bits> < 2 * kDotRows ? 1 : 2;
  if (kFewRowsStrands * task.y.num_rows > kDotTile<bits>)
    return integer_strands<bits, kStrands>(task);
  prefetch_strands<kFewRowsStrands>(task);
  integer_strands<bits, kFewRowsStrands>(task);
}

inline void int8_row_linear(const EncodedLinearTask& task, std::byte*) {
  task.weight.format->bits == 4 ? int8_row_linear_of<4>(task) : int8_row_linear_of<8>(task);
}

}  // namespace
}  // namespace erne::cpu
