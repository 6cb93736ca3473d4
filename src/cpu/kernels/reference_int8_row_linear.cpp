#include "cpu/kernels/reference_int8_row_linear.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "cpu/arithmetic.h"

namespace erne::cpu {
namespace {

float element(const QuantizeTask& task, int64_t row, int64_t k) {
  const int64_t at = row * task.in + k;
  return task.type == DType::kBf16 ? to_float(static_cast<const Bf16*>(task.x)[at])
                                   : static_cast<const float*>(task.x)[at];
}

void quantize_group(const QuantizeTask& task, int64_t row, int64_t group) {
  const int64_t groups = (task.in + task.group - 1) / task.group;
  const int64_t begin = group * task.group, end = std::min(begin + task.group, task.in);
  float most = 0, poison = 0;  // poison: 0, or NaN where an x is not finite
  for (int64_t k = begin; k < end; ++k) {
    const float x = element(task, row, k);
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
        std::clamp(element(task, row, k) * inverse, -127.0f, 127.0f) + kRoundToInt;
    const uint32_t bits = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRoundToInt);
    const auto q = has_integers ? static_cast<int32_t>(bits) : 0;
    task.y.data[row * task.y.stride + k] = static_cast<int8_t>(q);
    sum += q;
  }
  task.y.scales[row * groups + group] = is_zero ? poison : most / 127 + poison;
  task.y.sums[row * groups + group] = sum;
}

float one_output(const CodeLinearTask& task, int64_t row, int64_t n) {
  const CodePanels& w = task.weight;
  const int64_t panel = n / kPanel, column = n % kPanel, groups = num_groups(w);
  float y = 0;
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t begin = group * w.group, end = std::min(begin + w.group, w.in);
    int32_t sum = 0;
    for (int64_t k = begin; k < end; ++k)
      sum += task.x.data[row * task.x.stride + k] * reference_code(w, panel, k, column);
    const float scale = to_float(panel_scales(w, panel, begin / w.run)[column]);
    y = std::fma(static_cast<float>(sum), task.x.scales[row * groups + group] * scale, y);
  }
  return y;
}

}  // namespace

int reference_code(const CodePanels& w, int64_t panel, int64_t k, int64_t column) {
  const uint8_t byte = panel_codes(w, panel, 0)[code_byte(w.bits, k, column)];
  const int code = (byte >> code_shift(w.bits, k)) & ((1 << w.bits) - 1);
  return code - (1 << (w.bits - 1));
}

void reference_quantize(const QuantizeTask& task) {
  const int64_t groups = (task.in + task.group - 1) / task.group;
  for (int64_t row = 0; row < task.num_rows; ++row) {
    for (int64_t group = 0; group < groups; ++group) quantize_group(task, row, group);
    std::fill(task.y.data + row * task.y.stride + task.in,
              task.y.data + row * task.y.stride + round_up(task.in, kCodePadding), int8_t{0});
  }
}

void reference_code_linear(const CodeLinearTask& task, uint8_t*) {
  const int64_t end = std::min(task.end_panel * kPanel, task.out);
  for (int64_t row = 0; row < task.num_rows; ++row)
    for (int64_t n = task.first_panel * kPanel; n < end; ++n) {
      const float y = one_output(task, row, n);
      if (task.y_type == DType::kBf16)
        static_cast<Bf16*>(task.y)[row * task.y_stride + n] = to_bf16(y);
      else
        static_cast<float*>(task.y)[row * task.y_stride + n] = y;
    }
}

void reference_decode_panel(const CodePanels& w, int64_t panel, float* out) {
  for (int64_t k = 0; k < w.in; ++k)
    for (int64_t column = 0; column < kPanel; ++column)
      out[k * kPanel + column] = static_cast<float>(reference_code(w, panel, k, column)) *
                                 to_float(panel_scales(w, panel, k / w.run)[column]);
}

}  // namespace erne::cpu
