// The inner loop of every product of matrices: R rows of float32 times P panels of 16 columns, one
// fma chain per element, k ascending. Linear layers, q K^T and p V are all made of it.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "cpu/panels.h"
#include "tensor/tensor_view.h"

namespace erne::cpu {
namespace {

// What a tile does with c[r, column]: begin chains at 0 or go on from c; store the sums or add
// them.
enum class TileMode { kStore, kAdd, kContinue };

// Where the next panels to be read lie, for the prefetch: this many bytes ahead in each stream.
constexpr int64_t kPrefetchBytes = 2048;

// One row of a panel of 16 columns as floats, k even and odd: words hold pairs of bfloat16.
template <int odd>
void load_row(const Bf16* pair, __m256& left, __m256& right) {
  const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pair));
  const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pair) + 1);
  if constexpr (odd) {
    const __m256i high = _mm256_set1_epi32(static_cast<int>(0xFFFF0000u));
    left = _mm256_castsi256_ps(_mm256_and_si256(a, high));
    right = _mm256_castsi256_ps(_mm256_and_si256(b, high));
  } else {
    left = _mm256_castsi256_ps(_mm256_slli_epi32(a, 16));
    right = _mm256_castsi256_ps(_mm256_slli_epi32(b, 16));
  }
}
template <int odd>
void load_row(const float* pair, __m256& left, __m256& right) {
  left = _mm256_loadu_ps(pair + odd * kPanel);
  right = _mm256_loadu_ps(pair + odd * kPanel + 8);
}

// sum = fma(a, b, sum). Written as the instruction: from the intrinsic, g++ 12 chooses forms that
// overwrite a factor instead, and then copies and spills the sums.
[[gnu::always_inline]] inline void add_product(__m256& sum, __m256 a, __m256 b) {
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
}

// The sums of R rows and one panel, then of P such panels. Nested members and not arrays: g++ keeps
// them in registers at any level of optimisation.
template <int R>
struct Rows {
  __m256 left, right;
  Rows<R - 1> rest;

  [[gnu::always_inline]] void begin(const float* c, int64_t stride, TileMode mode) {
    left = mode == TileMode::kContinue ? _mm256_loadu_ps(c) : _mm256_setzero_ps();
    right = mode == TileMode::kContinue ? _mm256_loadu_ps(c + 8) : _mm256_setzero_ps();
    rest.begin(c + stride, stride, mode);
  }
  [[gnu::always_inline]] void step(__m256 w_left, __m256 w_right, const float* x, int64_t stride) {
    const __m256 v = _mm256_broadcast_ss(x);
    add_product(left, v, w_left);
    add_product(right, v, w_right);
    rest.step(w_left, w_right, x + stride, stride);
  }
  [[gnu::always_inline]] void end(float* c, int64_t stride, TileMode mode) const {
    const bool add = mode == TileMode::kAdd;
    _mm256_storeu_ps(c, add ? _mm256_add_ps(_mm256_loadu_ps(c), left) : left);
    _mm256_storeu_ps(c + 8, add ? _mm256_add_ps(_mm256_loadu_ps(c + 8), right) : right);
    rest.end(c + stride, stride, mode);
  }
};
template <>
struct Rows<0> {
  void begin(const float*, int64_t, TileMode) {}
  void step(__m256, __m256, const float*, int64_t) {}
  void end(float*, int64_t, TileMode) const {}
};

template <int R, int P>
struct Panels {
  Rows<R> first;
  Panels<R, P - 1> rest;

  [[gnu::always_inline]] void begin(const float* c, int64_t stride, TileMode mode) {
    first.begin(c, stride, mode);
    rest.begin(c + kPanel, stride, mode);
  }
  // Two rows of the panels; one if k ends there.
  template <int odd, class W>
  [[gnu::always_inline]] void step(const W* pair, int64_t panel_stride, const float* x,
                                   int64_t stride) {
    __m256 left, right;
    load_row<odd>(pair, left, right);
    first.step(left, right, x + odd, stride);
    rest.template step<odd>(pair + panel_stride, panel_stride, x, stride);
  }
  template <class W>
  [[gnu::always_inline]] void prefetch(const W* pair, int64_t panel_stride) {
    _mm_prefetch(reinterpret_cast<const char*>(pair) + kPrefetchBytes, _MM_HINT_T0);
    rest.prefetch(pair + panel_stride, panel_stride);
  }
  [[gnu::always_inline]] void end(float* c, int64_t stride, TileMode mode) const {
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

// All rows of one panel, in tiles of nearly equal height: 7 rows are 4 and 3, not 6 and 1.
template <class W>
void tall_tile(int64_t num_rows, const W* w, int64_t stride, int64_t k, const float* x,
               int64_t x_stride, float* c, int64_t c_stride, TileMode mode) {
  for (int64_t tiles_left = (num_rows + 5) / 6; tiles_left > 0; --tiles_left) {
    const int64_t rows = (num_rows + tiles_left - 1) / tiles_left;
    switch (rows) {
      case 1:
        tile<W, 1, 1>(w, stride, k, x, x_stride, c, c_stride, mode);
        break;
      case 2:
        tile<W, 2, 1>(w, stride, k, x, x_stride, c, c_stride, mode);
        break;
      case 3:
        tile<W, 3, 1>(w, stride, k, x, x_stride, c, c_stride, mode);
        break;
      case 4:
        tile<W, 4, 1>(w, stride, k, x, x_stride, c, c_stride, mode);
        break;
      case 5:
        tile<W, 5, 1>(w, stride, k, x, x_stride, c, c_stride, mode);
        break;
      default:
        tile<W, 6, 1>(w, stride, k, x, x_stride, c, c_stride, mode);
        break;
    }
    num_rows -= rows;
    x += rows * x_stride;
    c += rows * c_stride;
  }
}

// c [num_rows, num_panels * 16] from x [num_rows, k] and panels of W. A chain of fma waits for
// itself, so one or two rows take several panels at a time: eight sums are under way.
template <class W>
void multiply(int64_t num_rows, const W* w, int64_t stride, int64_t num_panels, int64_t k,
              const float* x, int64_t x_stride, float* c, int64_t c_stride, TileMode mode) {
  while (num_panels > 0) {
    int64_t step = 1;
    if (num_rows == 1 && num_panels >= 4) {
      tile<W, 1, 4>(w, stride, k, x, x_stride, c, c_stride, mode);
      step = 4;
    } else if (num_rows == 2 && num_panels >= 2) {
      tile<W, 2, 2>(w, stride, k, x, x_stride, c, c_stride, mode);
      step = 2;
    } else {
      tall_tile<W>(num_rows, w, stride, k, x, x_stride, c, c_stride, mode);
    }
    num_panels -= step;
    w += step * stride;
    c += step * kPanel;
  }
}

}  // namespace
}  // namespace erne::cpu
