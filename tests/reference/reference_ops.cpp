#include "reference/reference_ops.h"

#include <algorithm>
#include <cmath>

namespace erne::reference {

Matrix gather(const Matrix& x, std::span<const int32_t> rows) {
  Matrix y(std::ssize(rows), x.cols);
  for (int64_t r = 0; r < y.rows; ++r)
    for (int64_t c = 0; c < y.cols; ++c) y(r, c) = x(rows[r], c);
  return y;
}

Matrix add(const Matrix& x, const Matrix& h) {
  Matrix y(x.rows, x.cols);
  for (size_t i = 0; i < y.values.size(); ++i) y.values[i] = x.values[i] + h.values[i];
  return y;
}

Matrix rms_norm(const Matrix& x, std::span<const double> weight, double eps) {
  Matrix y(x.rows, x.cols);
  for (int64_t r = 0; r < x.rows; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < x.cols; ++c) squares += x(r, c) * x(r, c);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.cols) + eps);
    for (int64_t c = 0; c < x.cols; ++c) y(r, c) = x(r, c) * scale * weight[c];
  }
  return y;
}

Matrix linear(const Matrix& w, const Matrix& x) {
  Matrix y(x.rows, w.rows);
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t n = 0; n < w.rows; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < w.cols; ++k) sum += w(n, k) * x(r, k);
      y(r, n) = sum;
    }
  return y;
}

Matrix rope(const Matrix& x, std::span<const int32_t> positions, std::span<const float> inv_freq,
            int num_heads) {
  Matrix y = x;
  const int64_t half = std::ssize(inv_freq);
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t pair = 0; pair < num_heads * half; ++pair) {
      const float angle = static_cast<float>(positions[t]) * inv_freq[pair % half];
      const double cosine = std::cos(static_cast<double>(angle));
      const double sine = std::sin(static_cast<double>(angle));
      const double a = x(t, 2 * pair), b = x(t, 2 * pair + 1);
      y(t, 2 * pair) = a * cosine - b * sine;
      y(t, 2 * pair + 1) = b * cosine + a * sine;
    }
  return y;
}

Matrix int8_rows(const Matrix& x, int64_t size) {
  Matrix y(x.rows, x.cols);
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t first = 0; first < x.cols; first += size) {
      const int64_t end = std::min(first + size, x.cols);
      float amax = 0;
      for (int64_t c = first; c < end; ++c)
        amax = std::max(amax, static_cast<float>(std::abs(x(r, c))));
      if (amax == 0) continue;
      for (int64_t c = first; c < end; ++c)
        y(r, c) =
            double{std::nearbyint(static_cast<float>(x(r, c)) * (127 / amax))} * double{amax / 127};
    }
  return y;
}

Matrix fixed_int8(const Matrix& x, float largest) {
  Matrix y(x.rows, x.cols);
  for (size_t i = 0; i < x.values.size(); ++i) {
    const float q = std::nearbyint(static_cast<float>(x.values[i]) * (127 / largest));
    y.values[i] = double{std::clamp(q, -127.0f, 127.0f)} * double{largest / 127};
  }
  return y;
}

double nearest_fp8(double v) {
  if (v == 0) return 0;
  const int exponent = std::max(std::ilogb(v), -6);
  const double step = std::ldexp(1.0, exponent - 3);
  return std::clamp(std::nearbyint(v / step) * step, -448.0, 448.0);
}

Matrix fp8_rows(const Matrix& x, int64_t size, float least) {
  Matrix y(x.rows, x.cols);
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t first = 0; first < x.cols; first += size) {
      const int64_t end = std::min(first + size, x.cols);
      float amax = least;
      for (int64_t c = first; c < end; ++c)
        amax = std::max(amax, static_cast<float>(std::abs(x(r, c))));
      if (amax == 0) continue;
      for (int64_t c = first; c < end; ++c)
        y(r, c) = nearest_fp8(static_cast<float>(x(r, c)) * (448 / amax)) * double{amax / 448};
    }
  return y;
}

Matrix softmax(const Matrix& logits) {
  Matrix p = logits;
  for (int64_t r = 0; r < p.rows; ++r) {
    double sum = 0;
    for (int64_t c = 0; c < p.cols; ++c) sum += p(r, c) = std::exp(logits(r, c));
    for (int64_t c = 0; c < p.cols; ++c) p(r, c) /= sum;
  }
  return p;
}

Matrix silu_mul(const Matrix& gate_up) {
  Matrix y(gate_up.rows, gate_up.cols / 2);
  for (int64_t r = 0; r < y.rows; ++r)
    for (int64_t i = 0; i < y.cols; ++i) {
      const double gate = gate_up(r, i);
      y(r, i) = gate / (1 + std::exp(-gate)) * gate_up(r, y.cols + i);
    }
  return y;
}

Matrix attention(const Matrix& q, const Matrix& k, const Matrix& v, int head_dim, double scale) {
  Matrix out(q.rows, q.cols);
  const int64_t heads = q.cols / head_dim, group = q.cols / k.cols;
  for (int64_t t = 0; t < q.rows; ++t)
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t keys = k.rows - q.rows + t + 1, kv = h / group * head_dim;
      std::vector<double> p(keys);
      for (int64_t j = 0; j < keys; ++j)
        for (int d = 0; d < head_dim; ++d) p[j] += scale * q(t, h * head_dim + d) * k(j, kv + d);
      const double max = *std::ranges::max_element(p);
      double sum = 0;
      for (double& value : p) sum += value = std::exp(value - max);
      for (int d = 0; d < head_dim; ++d)
        for (int64_t j = 0; j < keys; ++j) out(t, h * head_dim + d) += p[j] / sum * v(j, kv + d);
    }
  return out;
}

}  // namespace erne::reference
