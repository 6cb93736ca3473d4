#include "cpu/kernels/reference_encoded_linear.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "cpu/arithmetic.h"
#include "tensor/formats/block_fp8.h"

namespace erne::cpu {
namespace {

float activation(const ConvertTask& task, int64_t row, int64_t k) {
  const int64_t at = row * task.in + k;
  return task.type == DType::kBf16 ? to_float(static_cast<const Bf16*>(task.x)[at])
                                   : static_cast<const float*>(task.x)[at];
}

void quantize_group(const ConvertTask& task, int64_t row, int64_t group) {
  const ActivationRows& y = task.y;
  const int64_t begin = group * task.group, end = std::min(begin + task.group, task.in);
  float most = 0, poison = 0;  // poison: 0, or NaN where an x is not finite
  for (int64_t k = begin; k < end; ++k) {
    const float x = activation(task, row, k);
    most = std::fabs(x) > most ? std::fabs(x) : most;
    poison = std::fma(x, 0.0f, poison);
  }
  if (task.largest > 0) most = task.largest;
  const float inverse = 127 / most;
  const bool is_zero = std::isinf(inverse);
  const bool has_integers = !is_zero && poison == 0;  // NaN is none; the scale keeps it
  int32_t sum = 0;
  for (int64_t k = begin; k < end; ++k) {
    const float shifted =
        std::clamp(activation(task, row, k) * inverse, -127.0f, 127.0f) + kRoundToInt;
    const uint32_t bits = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRoundToInt);
    const auto q = has_integers ? static_cast<int32_t>(bits) : 0;
    numbers_of<int8_t>(y)[row * y.stride + k] = static_cast<int8_t>(q);
    sum += q;
  }
  y.scales[row * y.groups + group] = is_zero ? poison : most / 127 + poison;
  y.sums[row * y.groups + group] = sum;
}

void round_group(const ConvertTask& task, int64_t row, int64_t group) {
  const ActivationRows& y = task.y;
  const int64_t begin = group * kFp8Group, end = std::min(begin + kFp8Group, task.in);
  float largest = block_fp8::kLeastActivation;
  for (int64_t k = begin; k < end; ++k)
    largest = block_fp8::larger(largest, activation(task, row, k));
  for (int64_t k = begin; k < end; ++k)
    numbers_of<float>(y)[row * y.stride + k] =
        rounded_to_fp8(activation(task, row, k) * (kFp8Largest / largest));
  y.scales[row * y.groups + group] = largest / kFp8Largest;
}

float int8_output(const EncodedLinearTask& task, int64_t row, int64_t n) {
  const IntegerPanels w = integer_panels(task.weight);
  const ActivationRows& x = task.x;
  const int64_t panel = n / kPanel, column = n % kPanel;
  float y = 0;
  for (int64_t group = 0; group < x.groups; ++group) {
    const int64_t begin = group * w.input_group, end = std::min(begin + w.input_group, w.in);
    int32_t sum = 0;
    for (int64_t k = begin; k < end; ++k)
      sum += numbers_of<int8_t>(x)[row * x.stride + k] * integer_at(w, panel, k, column);
    const float scale = to_float(panel_scales(w, panel, begin / w.group)[column]);
    y = std::fma(static_cast<float>(sum), x.scales[row * x.groups + group] * scale, y);
  }
  return y;
}

// The weight of input k and output n as a number, and the scale that belongs to it.
struct IntegerNumbers {
  IntegerPanels w;

  float number(int64_t k, int64_t n) const {
    return static_cast<float>(integer_at(w, n / kPanel, k, n % kPanel));
  }
  float scale(int64_t k, int64_t n) const {
    return to_float(panel_scales(w, n / kPanel, k / w.group)[n % kPanel]);
  }
};
struct Fp8Numbers {
  Fp8Panels w;

  float number(int64_t k, int64_t n) const {
    return to_float(panel_codes(w, n / kPanel, k)[n % kPanel]);
  }
  float scale(int64_t k, int64_t n) const {
    return panel_scales(w, n / kPanel, k / kFp8Group)[n % kPanel];
  }
};

template <class Numbers>
float fp8_output(const EncodedLinearTask& task, const Numbers& w, int64_t row, int64_t n) {
  const int64_t in = task.weight.in, groups = task.x.groups;
  const float* x = numbers_of<const float>(task.x) + row * task.x.stride;
  float y = 0;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = g * kFp8Group, end = std::min(begin + kFp8Group, in);
    float sum = 0;
    for (int64_t k = begin; k < end; k += 2) {
      if (k + 1 < end) sum = std::fma(x[k + 1], w.number(k + 1, n), sum);
      sum = std::fma(x[k], w.number(k, n), sum);
    }
    y = std::fma(sum, task.x.scales[row * groups + g] * w.scale(begin, n), y);
  }
  return y;
}

// output(row, n) into each element of a tile.
template <class Output>
void fill(const OutputTile& y, const Output& output) {
  const int64_t end = std::min(y.end_panel * kPanel, y.out);
  for (int64_t row = 0; row < y.num_rows; ++row)
    for (int64_t n = y.first_panel * kPanel; n < end; ++n) {
      const int64_t at = row * y.stride + n;
      if (y.type == DType::kBf16)
        static_cast<Bf16*>(y.y)[at] = to_bf16(output(row, n));
      else
        static_cast<float*>(y.y)[at] = output(row, n);
    }
}

}  // namespace

void reference_to_int8_rows(const ConvertTask& task) {
  int8_t* q = numbers_of<int8_t>(task.y);
  for (int64_t row = 0; row < task.num_rows; ++row, q += task.y.stride) {
    for (int64_t group = 0; group < task.y.groups; ++group) quantize_group(task, row, group);
    std::fill(q + task.in, q + round_up(task.in, kCodePadding), int8_t{0});
  }
}

void reference_to_fp8_rows(const ConvertTask& task) {
  for (int64_t row = 0; row < task.num_rows; ++row)
    for (int64_t group = 0; group < task.y.groups; ++group) round_group(task, row, group);
}

void reference_int8_row_linear(const EncodedLinearTask& task, std::byte*) {
  fill(task.y, [&](int64_t row, int64_t n) { return int8_output(task, row, n); });
}

void reference_fp8_row_linear_integers(const EncodedLinearTask& task, float*) {
  const IntegerNumbers w{integer_panels(task.weight)};
  fill(task.y, [&](int64_t row, int64_t n) { return fp8_output(task, w, row, n); });
}

void reference_fp8_row_linear_fp8(const EncodedLinearTask& task, float*) {
  const Fp8Numbers w{fp8_panels(task.weight)};
  fill(task.y, [&](int64_t row, int64_t n) { return fp8_output(task, w, row, n); });
}

}  // namespace erne::cpu
