// The ops of backend/backend.h as the naive mathematics says, in double: one loop per sum, no
// blocks, no packing, no rounding. Every back end is tested against these, never only against
// another back end.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace erne::reference {

struct Matrix {
  Matrix() = default;
  Matrix(int64_t rows, int64_t cols) : rows(rows), cols(cols), values(rows * cols) {}
  double& operator()(int64_t r, int64_t c) { return values[r * cols + c]; }
  double operator()(int64_t r, int64_t c) const { return values[r * cols + c]; }

  int64_t rows = 0, cols = 0;
  std::vector<double> values;  // row-major
};

Matrix gather(const Matrix& x, std::span<const int32_t> rows);  // also embed
Matrix add(const Matrix& x, const Matrix& h);
Matrix rms_norm(const Matrix& x, std::span<const double> weight, double eps);
Matrix linear(const Matrix& w, const Matrix& x);  // x W^T
// The first num_heads heads of each row, pairs (2i, 2i + 1). The angle is a float32 product, as the
// models were trained with it; its cosine and sine are exact.
Matrix rope(const Matrix& x, std::span<const int32_t> positions, std::span<const float> inv_freq,
            int num_heads);
// What int8 rows of `size` neighbours hold of x (a KV cache: of each head; activations: of each
// group): steps of the largest magnitude / 127. The step and the quotient are float32, as the
// format says (cpu/arithmetic.h).
Matrix int8_rows(const Matrix& x, int64_t size);
// Likewise with a magnitude that is given; what is larger counts as it.
Matrix fixed_int8(const Matrix& x, float largest);
// int8_rows with numbers of 8-bit floating point (e4m3) instead of integers, and 448 for 127; the
// magnitude is at least `least`.
Matrix fp8_rows(const Matrix& x, int64_t size, float least);
// The nearest number of that format, ties to even, of one that is not beyond its largest.
double nearest_fp8(double v);
// Probabilities of each row.
Matrix softmax(const Matrix& logits);
Matrix silu_mul(const Matrix& gate_up);
// One sequence: queries [T, heads * D] at the last T of the positions, keys and values
// [positions, kv_heads * D] of all of them.
Matrix attention(const Matrix& q, const Matrix& k, const Matrix& v, int head_dim, double scale);

}  // namespace erne::reference
