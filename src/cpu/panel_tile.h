// The inner loop of every product of matrices: R rows of float32 times P panels of 16 columns, one
// fma chain per element, k ascending. Linear layers, q K^T and p V are all made of it. Written
// once, in terms of F16; the file of lanes says how many sums its registers hold.
#pragma once

#include <cstdint>

#include "cpu/panels.h"
#include "tensor/tensor_view.h"

namespace erne::cpu {
namespace {

// What a tile does with c[r, column]: begin chains at 0 or go on from c; store the sums or add
// them.
enum class TileMode { kStore, kAdd, kContinue };

// Where the next panels to be read lie, for the prefetch: this many bytes ahead in each stream.
constexpr int64_t kPrefetchBytes = 512;

template <int odd>
ERNE_LANES F16 load_row(const float* pair) {
  return load(pair + odd * kPanel);
}

template <int odd>
ERNE_LANES F16 load_row(const int8_t* pair) {
  return load(pair + odd * kPanel);
}

// The sums of R rows and one panel, then of P such panels. Nested members and not arrays: g++ keeps
// them in registers at any level of optimisation.
template <int R>
struct Rows {
  F16 sum;
  Rows<R - 1> rest;

  ERNE_LANES void begin(const float* c, int64_t stride, TileMode mode) {
    sum = mode == TileMode::kContinue ? load(c) : broadcast(0);
    rest.begin(c + stride, stride, mode);
  }
  ERNE_LANES void step(F16 weights, const float* x, int64_t stride) {
    add_product(sum, broadcast(*x), weights);
    rest.step(weights, x + stride, stride);
  }
  ERNE_LANES void end(float* c, int64_t stride, TileMode mode) const {
    store(c, mode == TileMode::kAdd ? load(c) + sum : sum);
    rest.end(c + stride, stride, mode);
  }
};
template <>
struct Rows<0> {
  void begin(const float*, int64_t, TileMode) {}
  void step(F16, const float*, int64_t) {}
  void end(float*, int64_t, TileMode) const {}
};

template <int R, int P>
struct Panels {
  Rows<R> first;
  Panels<R, P - 1> rest;

  ERNE_LANES void begin(const float* c, int64_t stride, TileMode mode) {
    first.begin(c, stride, mode);
    rest.begin(c + kPanel, stride, mode);
  }
  template <int odd, class W>
  ERNE_LANES void step(const W* pair, int64_t panel_stride, const float* x, int64_t stride) {
    first.step(load_row<odd>(pair), x + odd, stride);
    rest.template step<odd>(pair + panel_stride, panel_stride, x, stride);
  }
  template <class W>
  ERNE_LANES void prefetch(const W* pair, int64_t panel_stride) {
    __builtin_prefetch(reinterpret_cast<const char*>(pair) + kPrefetchBytes);
    rest.prefetch(pair + panel_stride, panel_stride);
  }
  ERNE_LANES void end(float* c, int64_t stride, TileMode mode) const {
    first.end(c, stride, mode);
    rest.end(c + kPanel, stride, mode);
  }
};
template <int R>
struct Panels<R, 0> {
  void begin(const float*, int64_t, TileMode) {}
  template <int odd, class W>
  void step(const W*, int64_t, const float*, int64_t) {}
  template <class W>
  void prefetch(const W*, int64_t) {}
  void end(float*, int64_t, TileMode) const {}
};

// c [R, P * 16], rows c_stride apart, of x [R, k] and P panels `stride` elements apart, from the
// pair of their rows that w points at.
template <class W, int R, int P>
void tile(const W* w, int64_t stride, int64_t k, const float* x, int64_t x_stride, float* c,
          int64_t c_stride, TileMode mode) {
  Panels<R, P> sums;
  sums.begin(c, c_stride, mode);
  for (; k >= 2; k -= 2, w += 2 * kPanel, x += 2) {
    sums.prefetch(w, stride);
    sums.template step<0>(w, stride, x, x_stride);
    sums.template step<1>(w, stride, x, x_stride);
  }
  if (k > 0) sums.template step<0>(w, stride, x, x_stride);
  sums.end(c, c_stride, mode);
}

// tile() for a number of rows known only now, at most R.
template <class W, int P, int R>
void tile_of(int64_t rows, const W* w, int64_t stride, int64_t k, const float* x, int64_t x_stride,
             float* c, int64_t c_stride, TileMode mode) {
  if (rows == R) return tile<W, R, P>(w, stride, k, x, x_stride, c, c_stride, mode);
  if constexpr (R > 1) tile_of<W, P, R - 1>(rows, w, stride, k, x, x_stride, c, c_stride, mode);
}

// All rows of P panels, in tiles of nearly equal height: 7 rows are 4 and 3, not 6 and 1.
template <class W, int P>
void tall_tile(int64_t num_rows, const W* w, int64_t stride, int64_t k, const float* x,
               int64_t x_stride, float* c, int64_t c_stride, TileMode mode) {
  constexpr int64_t kRows = kTileSums / P < kTileRows ? kTileSums / P : kTileRows;
  for (int64_t tiles_left = (num_rows + kRows - 1) / kRows; tiles_left > 0; --tiles_left) {
    const int64_t rows = (num_rows + tiles_left - 1) / tiles_left;
    tile_of<W, P, kRows>(rows, w, stride, k, x, x_stride, c, c_stride, mode);
    num_rows -= rows;
    x += rows * x_stride;
    c += rows * c_stride;
  }
}

// A chain of fma waits for itself, so where a few rows leave registers free, they take several
// panels at a time.
inline int64_t panels_at_once(int64_t num_rows) {
  const int64_t rows = num_rows < kTileRows ? num_rows : kTileRows;
  return 4 * rows <= kTileSums ? 4 : 2 * rows <= kTileSums ? 2 : 1;
}

// c [num_rows, num_panels * 16] from x [num_rows, k] and panels of W.
template <class W>
void multiply(int64_t num_rows, const W* w, int64_t stride, int64_t num_panels, int64_t k,
              const float* x, int64_t x_stride, float* c, int64_t c_stride, TileMode mode) {
  const int64_t widest = panels_at_once(num_rows);
  while (num_panels > 0) {
    int64_t step = 1;
    if (widest == 4 && num_panels >= 4) {
      tall_tile<W, 4>(num_rows, w, stride, k, x, x_stride, c, c_stride, mode);
      step = 4;
    } else if (widest >= 2 && num_panels >= 2) {
      tall_tile<W, 2>(num_rows, w, stride, k, x, x_stride, c, c_stride, mode);
      step = 2;
    } else {
      tall_tile<W, 1>(num_rows, w, stride, k, x, x_stride, c, c_stride, mode);
    }
    num_panels -= step;
    w += step * stride;
    c += step * kPanel;
  }
}

}  // namespace
}  // namespace erne::cpu
