// The inner loop of every product of matrices: R rows times P panels of 16 columns, one fma chain
// per element, pairs of k ascending. Linear layers, q K^T and p V are all made of it. Rows are
// float32, or bfloat16 where the instruction set multiplies pairs of it; the bits are the same.
// Written once, in terms of cpu/lanes/lanes.h, which says how many sums registers hold.
#pragma once

#include <cstdint>

#include "cpu/lanes/lanes.h"
#include "cpu/packing/panels.h"
#include "tensor/tensor_view.h"

namespace erne::cpu {
namespace {

// What a tile does with c[r, column]: begin chains at 0 or go on from c; store the sums or add
// them.
enum class TileMode { kStore, kAdd, kContinue };

// Where the next panels to be read lie, for the prefetch: this many bytes ahead in each strand.
constexpr int64_t kPrefetchBytes = 512;

template <int odd>
ERNE_INLINE Floats load_row(const float* pair) {
  return load(pair + odd * kPanel);
}

template <int odd>
ERNE_INLINE Floats load_row(const int8_t* pair) {
  return load(pair + odd * kPanel);
}

template <int odd>
ERNE_INLINE Floats load_row(const Fp8* pair) {
  return load(pair + odd * kPanel);
}

// An element of x in every lane.
ERNE_INLINE Floats spread(const float* x) {
  return broadcast(*x);
}
ERNE_INLINE Floats spread(const Bf16* x) {
  const uint32_t bits = uint32_t{x->bits} << 16;
  float v;
  __builtin_memcpy(&v, &bits, sizeof(v));
  return broadcast(v);
}

// The sums of one row and P panels, then of R such rows: an element of x is spread over the lanes
// once for all panels, a row of a panel is loaded once for all rows. Nested members and not arrays:
// g++ keeps them in registers at any level of optimisation.
template <int P>
struct RowSums {
  Floats sum;
  RowSums<P - 1> rest;

  ERNE_INLINE void begin(const float* c, TileMode mode) {
    sum = mode == TileMode::kContinue ? load(c) : broadcast(0);
    rest.begin(c + kPanel, mode);
  }
  template <int odd, class W>
  ERNE_INLINE void step(const W* pair, int64_t panel_stride, Floats x) {
    add_product(sum, x, load_row<odd>(pair));
    rest.template step<odd>(pair + panel_stride, panel_stride, x);
  }
  // Two elements of x at once, where the set has an instruction for it.
  template <class W, class Pairs>
  ERNE_INLINE void step_pair(const W* pair, int64_t panel_stride, Pairs x) {
    add_pair_products(sum, x, load_pairs(pair));
    rest.step_pair(pair + panel_stride, panel_stride, x);
  }
  ERNE_INLINE void end(float* c, TileMode mode) const {
    store(c, mode == TileMode::kAdd ? load(c) + sum : sum);
    rest.end(c + kPanel, mode);
  }
};
template <>
struct RowSums<0> {
  void begin(const float*, TileMode) {}
  template <int odd, class W>
  void step(const W*, int64_t, Floats) {}
  template <class W, class Pairs>
  void step_pair(const W*, int64_t, Pairs) {}
  void end(float*, TileMode) const {}
};

template <int R, int P>
struct TileSums {
  RowSums<P> first;
  TileSums<R - 1, P> rest;

  ERNE_INLINE void begin(const float* c, int64_t stride, TileMode mode) {
    first.begin(c, mode);
    rest.begin(c + stride, stride, mode);
  }
  template <int odd, class W, class X>
  ERNE_INLINE void step(const W* pair, int64_t panel_stride, const X* x, int64_t stride) {
    first.template step<odd>(pair, panel_stride, spread(x + odd));
    rest.template step<odd>(pair, panel_stride, x + stride, stride);
  }
  template <class W, class X>
  ERNE_INLINE void step_pair(const W* pair, int64_t panel_stride, const X* x, int64_t stride) {
    first.step_pair(pair, panel_stride, spread_pair(x));
    rest.step_pair(pair, panel_stride, x + stride, stride);
  }
  ERNE_INLINE void end(float* c, int64_t stride, TileMode mode) const {
    first.end(c, mode);
    rest.end(c + stride, stride, mode);
  }
};
template <int P>
struct TileSums<0, P> {
  void begin(const float*, int64_t, TileMode) {}
  template <int odd, class W, class X>
  void step(const W*, int64_t, const X*, int64_t) {}
  template <class W, class X>
  void step_pair(const W*, int64_t, const X*, int64_t) {}
  void end(float*, int64_t, TileMode) const {}
};

// Panels to multiply by.
template <class W>
struct PanelSpan {
  const W* w;      // the pair of rows of the first panel where the product begins
  int64_t stride;  // elements from panel to panel
  int64_t ahead;   // bytes from what is read to what will be read a while later

  PanelSpan from_panel(int64_t panel) const { return {w + panel * stride, stride, ahead}; }
  PanelSpan from_row(int64_t row) const { return {w + row * kPanel, stride, ahead}; }
};

// Rows of activations or probabilities, `stride` elements apart, and of sums.
template <class X>
struct RowSpan {
  X* at;
  int64_t stride;

  RowSpan from_row(int64_t row) const { return {at + row * stride, stride}; }
  RowSpan from_column(int64_t column) const { return {at + column, stride}; }
};

// c [R, P * 16] of x [R, k] and P panels.
template <int R, int P, class W, class X>
void tile(PanelSpan<W> panels, int64_t k, RowSpan<const X> x, RowSpan<float> c, TileMode mode) {
  const W* w = panels.w;
  TileSums<R, P> sums;
  sums.begin(c.at, c.stride, mode);
  for (; k >= 2; k -= 2, w += 2 * kPanel, x.at += 2) {
    for (int p = 0; p < P; ++p)
      __builtin_prefetch(reinterpret_cast<const char*>(w + p * panels.stride) + panels.ahead);
    if constexpr (sizeof(X) == 2) {
      sums.step_pair(w, panels.stride, x.at, x.stride);
    } else {
      sums.template step<1>(w, panels.stride, x.at, x.stride);
      sums.template step<0>(w, panels.stride, x.at, x.stride);
    }
  }
  if (k > 0) sums.template step<0>(w, panels.stride, x.at, x.stride);
  sums.end(c.at, c.stride, mode);
}

// tile() for a number of rows known only now, at most R.
template <int P, int R, class W, class X>
void tile_of(int64_t rows, PanelSpan<W> panels, int64_t k, RowSpan<const X> x, RowSpan<float> c,
             TileMode mode) {
  if (rows == R) return tile<R, P>(panels, k, x, c, mode);
  if constexpr (R > 1) tile_of<P, R - 1>(rows, panels, k, x, c, mode);
}

// All rows of P panels, in tiles of nearly equal height: 7 rows are 4 and 3, not 6 and 1.
template <int P, class W, class X>
void tall_tile(int64_t num_rows, PanelSpan<W> panels, int64_t k, RowSpan<const X> x,
               RowSpan<float> c, TileMode mode) {
  constexpr int64_t kRows = kTileSums / P < kTileRows ? kTileSums / P : kTileRows;
  for (int64_t tiles_left = (num_rows + kRows - 1) / kRows; tiles_left > 0; --tiles_left) {
    const int64_t rows = (num_rows + tiles_left - 1) / tiles_left;
    tile_of<P, kRows>(rows, panels, k, x, c, mode);
    num_rows -= rows;
    x = x.from_row(rows);
    c = c.from_row(rows);
  }
}

// A chain of fma waits for itself, so where a few rows leave registers free, they take several
// panels at a time.
inline int64_t panels_at_once(int64_t num_rows) {
  const int64_t rows = num_rows < kTileRows ? num_rows : kTileRows;
  return 4 * rows <= kTileSums ? 4 : 2 * rows <= kTileSums ? 2 : 1;
}

// c [num_rows, num_panels * 16] from x [num_rows, k].
template <class W, class X>
void multiply(int64_t num_rows, PanelSpan<W> panels, int64_t num_panels, int64_t k,
              RowSpan<const X> x, RowSpan<float> c, TileMode mode) {
  const int64_t widest = panels_at_once(num_rows);
  while (num_panels > 0) {
    int64_t step = 1;
    if (widest == 4 && num_panels >= 4) {
      tall_tile<4>(num_rows, panels, k, x, c, mode);
      step = 4;
    } else if (widest >= 2 && num_panels >= 2) {
      tall_tile<2>(num_rows, panels, k, x, c, mode);
      step = 2;
    } else {
      tall_tile<1>(num_rows, panels, k, x, c, mode);
    }
    num_panels -= step;
    panels = panels.from_panel(step);
    c = c.from_column(step * kPanel);
  }
}

}  // namespace
}  // namespace erne::cpu
