#include "cpu/kernels/reference_fp8_row_linear.h"

#include <algorithm>
#include <cmath>

#include "cpu/kernels/reference_int8_row_linear.h"
#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"

namespace erne::cpu {
namespace {

template <class T>
void round_rows(const Fp8RoundTask& task, const T* x) {
  const int64_t groups = (task.in + kFp8Group - 1) / kFp8Group;
  for (int64_t row = 0; row < task.num_rows; ++row, x += task.in) {
    float* y = static_cast<float*>(task.y.data) + row * task.y.stride;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t begin = g * kFp8Group, end = std::min(begin + kFp8Group, task.in);
      float largest = block_fp8::kLeastActivation;
      for (int64_t k = begin; k < end; ++k) largest = block_fp8::larger(largest, to_float(x[k]));
      for (int64_t k = begin; k < end; ++k)
        y[k] = rounded_to_fp8(to_float(x[k]) * (kFp8Largest / largest));
      task.y.scales[row * groups + g] = largest / kFp8Largest;
    }
  }
}

// The weight of input k and output n, and the scale that belongs to it.
float number_of(const Fp8LinearTask& task, int64_t k, int64_t n) {
  const int64_t panel = n / kPanel, column = n % kPanel;
  if (task.is_fp8) return to_float(panel_codes(task.fp8, panel, k)[column]);
  return static_cast<float>(reference_code(task.codes, panel, k, column));
}
float scale_of(const Fp8LinearTask& task, int64_t k, int64_t n) {
  const int64_t panel = n / kPanel, column = n % kPanel;
  return task.is_fp8 ? panel_scales(task.fp8, panel, k / kFp8Group)[column]
                     : to_float(panel_scales(task.codes, panel, k / task.codes.run)[column]);
}

float fp8_output(const Fp8LinearTask& task, int64_t row, int64_t n) {
  const int64_t in = task.is_fp8 ? task.fp8.in : task.codes.in;
  const int64_t groups = (in + kFp8Group - 1) / kFp8Group;
  const float* x = static_cast<const float*>(task.x.data) + row * task.x.stride;
  float y = 0;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = g * kFp8Group, end = std::min(begin + kFp8Group, in);
    float sum = 0;
    for (int64_t k = begin; k < end; k += 2) {
      if (k + 1 < end) sum = std::fma(x[k + 1], number_of(task, k + 1, n), sum);
      sum = std::fma(x[k], number_of(task, k, n), sum);
    }
    y = std::fma(sum, task.x.scales[row * groups + g] * scale_of(task, begin, n), y);
  }
  return y;
}

}  // namespace

void reference_decode_fp8_panel(const Fp8Panels& w, int64_t panel, float* out) {
  for (int64_t k = 0; k < w.in; ++k)
    for (int64_t n = 0; n < kPanel; ++n)
      out[k * kPanel + n] =
          to_float(panel_codes(w, panel, k)[n]) * panel_scales(w, panel, k / kFp8Group)[n];
}

void reference_decode_ccq_panel(const CcqPanels& w, int64_t panel, float* out) {
  for (int64_t k = 0; k < w.in; ++k)
    for (int64_t n = 0; n < kPanel; ++n) {
      const int code = ccq::code_of(panel_bytes(w, panel)[byte_offset(k, n)],
                                    panel_code_scales(w, panel)[n], panel_code_zeros(w, panel)[n]);
      out[k * kPanel + n] =
          ccq::decode(code, static_cast<int>(k % kCcqPerByte),
                      panel_locals(w, panel)[local_offset(k, n)], panel_super_scales(w, panel)[n]);
    }
}

void reference_round_to_fp8(const Fp8RoundTask& task) {
  task.type == DType::kBf16 ? round_rows(task, static_cast<const Bf16*>(task.x))
                            : round_rows(task, static_cast<const float*>(task.x));
}

void reference_fp8_linear(const Fp8LinearTask& task, float*) {
  const int64_t end = std::min(task.end_panel * kPanel, task.out);
  for (int64_t row = 0; row < task.num_rows; ++row)
    for (int64_t n = task.first_panel * kPanel; n < end; ++n) {
      const float y = fp8_output(task, row, n);
      const int64_t at = row * task.y_stride + n;
      if (task.y_type == DType::kBf16)
        static_cast<Bf16*>(task.y)[at] = to_bf16(y);
      else
        static_cast<float*>(task.y)[at] = y;
    }
}

}  // namespace erne::cpu
