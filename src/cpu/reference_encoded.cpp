#include "cpu/reference_encoded.h"

#include <algorithm>
#include <cmath>

#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"

namespace erne::cpu {
namespace {

template <class T>
void round_rows(const Fp8RoundTask& task, const T* x) {
  for (int64_t row = 0; row < task.num_rows; ++row, x += task.in) {
    float* y = task.y + row * task.y_stride;
    for (int64_t begin = 0; begin < task.in; begin += kFp8Group) {
      const int64_t end = std::min(begin + kFp8Group, task.in);
      float largest = block_fp8::kLeastActivation;
      for (int64_t k = begin; k < end; ++k) largest = block_fp8::larger(largest, to_float(x[k]));
      const float factor = kFp8Largest / largest, scale = largest / kFp8Largest;
      for (int64_t k = begin; k < end; ++k) y[k] = rounded_to_fp8(to_float(x[k]) * factor) * scale;
    }
  }
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

}  // namespace erne::cpu
