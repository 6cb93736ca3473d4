#include "weights/random_source.h"

#include <cmath>

#include "base/hash.h"

namespace erne::weights {
namespace {

void store(float* at, Bf16 value) {
  *at = to_float(value);
}
void store(Bf16* at, Bf16 value) {
  *at = value;
}

template <class T>
void fill(const TensorSpec& spec, const std::optional<RandomMatrix>& matrix, int64_t first_row,
          T* out, int64_t count) {
  if (!matrix) {
    const Bf16 value = to_bf16(spec.kind == TensorKind::kBias ? 0.0f : 1.0f);
    for (int64_t i = 0; i < count; ++i) store(out + i, value);
    return;
  }
  const int64_t first = first_row * spec.shape[1];
  for (int64_t i = 0; i < count; ++i) store(out + i, matrix->element(first + i));
}

}  // namespace

std::optional<RandomMatrix> RandomSource::random_matrix(const TensorSpec& spec) {
  if (!is_matrix(spec.kind)) return {};
  return RandomMatrix{hash_bytes(spec.name.data(), spec.name.size(), seed_),
                      std::sqrt(3.0f / static_cast<float>(spec.shape[1]))};
}

Result<DType> RandomSource::stored_dtype(const TensorSpec&) {
  return DType::kBf16;
}

Result<void> RandomSource::read_rows(const TensorSpec& spec, int64_t first_row, TensorView out) {
  CHECK_LE(first_row + out.shape[0], spec.shape[0]);
  CHECK(out.dtype == DType::kBf16 || out.dtype == DType::kF32);
  const std::optional<RandomMatrix> matrix = random_matrix(spec);
  if (out.dtype == DType::kBf16)
    fill(spec, matrix, first_row, out.as<Bf16>(), out.elements());
  else
    fill(spec, matrix, first_row, out.as<float>(), out.elements());
  return {};
}

}  // namespace erne::weights
