#include "cpu/kernels/hadamard.h"

#include <cmath>

#include "backend/backend.h"

namespace erne::cpu {
namespace {

template <class T>
void rotate(T* x, int block) {
  float sums[kMaxRotation];
  for (int i = 0; i < block; ++i) sums[i] = to_float(x[i]);
  for (int half = 1; half < block; half *= 2)
    for (int begin = 0; begin < block; begin += 2 * half)
      for (int i = begin; i < begin + half; ++i) {
        const float a = sums[i], b = sums[i + half];
        sums[i] = a + b;
        sums[i + half] = a - b;
      }
  const float scale = 1 / std::sqrt(static_cast<float>(block));
  for (int i = 0; i < block; ++i) x[i] = from_float<T>(sums[i] * scale);
}

}  // namespace

void rotate_rows(DType type, void* x, int64_t num_rows, int64_t width, int block) {
  for (int64_t at = 0; at < num_rows * width; at += block)
    if (type == DType::kBf16)
      rotate(static_cast<Bf16*>(x) + at, block);
    else
      rotate(static_cast<float*>(x) + at, block);
}

}  // namespace erne::cpu
