// Linear layers with int8 activations and integers as weights, written once for all vector
// instruction sets, in terms of cpu/lanes/lanes.h. Everything is internal to the kernel file that
// includes this.
#pragma once

#include <cstdint>

#include "cpu/arithmetic.h"
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
  Floats most = broadcast(0), poison = broadcast(0);  // poison: 0, or NaN where an x is not finite
  for (int64_t i = 0; i < count; i += kLanes) {
    const Floats v = load_part(x + i, count - i);
    most = max_of(most, absolute(v));
    poison = fma(v, broadcast(0), poison);
  }
  const float a = given > 0 ? given : largest(most), damage = combine(poison);
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
void quantize_typed(const QuantizeTask& task) {
  const int64_t groups = (task.in + task.group - 1) / task.group;
  for (int64_t row = 0; row < task.num_rows; ++row) {
    const T* x = static_cast<const T*>(task.x) + row * task.in;
    int8_t* q = task.y.data + row * task.y.stride;
    for (int64_t g = 0; g < groups; ++g)
      quantize_group(x + g * task.group, smaller(task.group, task.in - g * task.group),
                     task.largest, q + g * task.group, &task.y.scales[row * groups + g],
                     &task.y.sums[row * groups + g]);
    for (int64_t k = task.in; k < round_up(task.in, kCodePadding); ++k) q[k] = 0;
  }
}

inline void quantize(const QuantizeTask& task) {
  task.type == DType::kBf16 ? quantize_typed<Bf16>(task) : quantize_typed<float>(task);
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
ERNE_INLINE void store_output(const CodeLinearTask& task, int64_t row, int64_t panel, Floats v) {
  const int64_t first = panel * kPanel, at = row * task.y_stride + first;
  if (task.y_type == DType::kBf16)
    store_part(static_cast<Bf16*>(task.y) + at, v, task.out - first);
  else
    store_part(static_cast<float*>(task.y) + at, v, task.out - first);
}

// y of R rows and P panels, `apart` panels from one to the next: a group of k after the other, so
// that rows and panels are read from their beginning to their end.
template <int bits, int R, int P>
void code_tile(const CodeLinearTask& task, int64_t row, int64_t panel, int64_t apart) {
  const CodePanels& w = task.weight;
  const int64_t groups = num_groups(w), stride = apart * panel_stride(w);
  const int8_t* x = task.x.data + row * task.x.stride;
  const uint8_t* codes = panel_codes(w, panel, 0);
  Floats sums[R * P];
  for (Floats& sum : sums) sum = broadcast(0);
  for (int64_t g = 0; g < groups; ++g) {
    Ints totals[R * P];
    TileDots<bits, R, P> dots;
    dots.begin(totals, &task.x.sums[row * groups + g], groups);
    const int64_t inputs = smaller(w.group, w.in - g * w.group);
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
      scales[p] = load(panel_scales(w, panel + p * apart, w.run == w.group ? g : 0));
    dots.end(totals, &task.x.scales[row * groups + g], groups, scales, sums);
  }
  for (int p = 0; p < P; ++p)
    for (int r = 0; r < R; ++r) store_output(task, row + r, panel + p * apart, sums[r * P + p]);
}

template <int bits, int P, int R>
void code_tile_of(int64_t rows, const CodeLinearTask& task, int64_t row, int64_t panel,
                  int64_t apart) {
  if (rows == R) return code_tile<bits, R, P>(task, row, panel, apart);
  if constexpr (R > 1) code_tile_of<bits, P, R - 1>(rows, task, row, panel, apart);
}

// All rows of P panels, in tiles of nearly equal height.
template <int bits, int P>
void tall_code_tile(const CodeLinearTask& task, int64_t panel, int64_t apart) {
  constexpr int64_t kMost = kDotTile<bits> / P < 1 ? 1 : kDotTile<bits> / P;
  constexpr int64_t kRows = kMost < kDotRows ? kMost : kDotRows;
  int64_t row = 0;
  for (int64_t tiles_left = (task.num_rows + kRows - 1) / kRows; tiles_left > 0; --tiles_left) {
    const int64_t rows = (task.num_rows - row + tiles_left - 1) / tiles_left;
    code_tile_of<bits, P, kRows>(rows, task, row, panel, apart);
    row += rows;
  }
}

// P panels at a time, side by side: the task's panels are cut into P runs, and the i-th panels of
// all runs are read together, so that each stream goes on through memory from panel to panel.
template <int bits, int P>
void code_streams(const CodeLinearTask& task) {
  const int64_t run = (task.end_panel - task.first_panel + P - 1) / P;
  for (int64_t i = task.first_panel; i < task.first_panel + run; ++i) {
    if (i + (P - 1) * run < task.end_panel) {
      tall_code_tile<bits, P>(task, i, run);
    } else {  // a last run may be shorter
      for (int64_t panel = i; panel < task.end_panel; panel += run)
        tall_code_tile<bits, 1>(task, panel, run);
    }
  }
}

// The beginnings of P streams at once, not one miss after the other.
template <int P>
void prefetch_streams(const CodeLinearTask& task) {
  const int64_t run = (task.end_panel - task.first_panel + P - 1) / P;
  for (int64_t panel = task.first_panel; panel < task.end_panel; panel += run)
    for (int64_t i = 0; i < kPrefetchBytes; i += 64)
      __builtin_prefetch(panel_codes(task.weight, panel, 0) + i);
}

// Few rows wait for memory, and least for four streams. Many rows take as many panels as leave room
// for a tile of full height.
template <int bits>
void code_linear_of(const CodeLinearTask& task) {
  constexpr int kFewRowsStreams = 4, kStreams = kDotTile<bits> < 2 * kDotRows ? 1 : 2;
  if (kFewRowsStreams * task.num_rows > kDotTile<bits>) return code_streams<bits, kStreams>(task);
  prefetch_streams<kFewRowsStreams>(task);
  code_streams<bits, kFewRowsStreams>(task);
}

inline void code_linear(const CodeLinearTask& task, uint8_t*) {
  task.weight.bits == 4 ? code_linear_of<4>(task) : code_linear_of<8>(task);
}

// ---- weights to float32 ----

template <int bits>
void decode_panel_of(const CodePanels& w, int64_t panel, float* out) {
  const Floats middle = broadcast(1 << (bits - 1));
  for (int64_t k = 0; k < w.in; k += kCodeStep) {
    const Floats scale = load(panel_scales(w, panel, k / w.run));
    const uint8_t* bytes = panel_codes(w, panel, k);
    const Codes codes = load_codes(bytes);
    const Codes parts[] = {
        bits == 4 ? low_halves(codes) : codes,
        bits == 4 ? high_halves(codes) : load_codes(bytes + step_bytes(bits) / 2)};
    for (int64_t i = 0; i < smaller(kCodeStep, w.in - k); ++i)
      store(out + (k + i) * kPanel,
            (converted(codes_of(parts[i / 4], static_cast<int>(i % 4))) - middle) * scale);
  }
}

inline void decode_panel(const CodePanels& weight, int64_t panel, float* out) {
  weight.bits == 4 ? decode_panel_of<4>(weight, panel, out)
                   : decode_panel_of<8>(weight, panel, out);
}

}  // namespace
}  // namespace erne::cpu
