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

// Elements [first, first + count) of a tensor, four from each 64 bits.
template <class T>
void fill_uniform(T* out, int64_t first, int64_t count, float half_width, uint64_t seed) {
  for (int64_t i = first; i < first + count; ++i) {
    const uint64_t word = hash_combine(seed, static_cast<uint64_t>(i / 4)) >> (16 * (i % 4));
    const float in_unit = (static_cast<float>(word & 0xFFFF) + 0.5f) / 32768.0f - 1.0f;  // (-1, 1)
    store(out + i - first, to_bf16(in_unit * half_width));
  }
}

template <class T>
void fill(const TensorSpec& spec, int64_t first_row, T* out, int64_t count, uint64_t seed) {
  if (!is_matrix(spec.kind)) {
    const Bf16 value = to_bf16(spec.kind == TensorKind::kBias ? 0.0f : 1.0f);
    for (int64_t i = 0; i < count; ++i) store(out + i, value);
    return;
  }
  const int64_t columns = spec.shape[1];
  const float half_width = std::sqrt(3.0f / static_cast<float>(columns));
  fill_uniform(out, first_row * columns, count, half_width, seed);
}

}  // namespace

Result<DType> RandomSource::stored_dtype(const TensorSpec&) {
  return DType::kBf16;
}

Result<void> RandomSource::read_rows(const TensorSpec& spec, int64_t first_row, TensorView out) {
  CHECK_LE(first_row + out.shape[0], spec.shape[0]);
  CHECK(out.dtype == DType::kBf16 || out.dtype == DType::kF32);
  const uint64_t seed = hash_bytes(spec.name.data(), spec.name.size(), seed_);
  if (out.dtype == DType::kBf16)
    fill(spec, first_row, out.as<Bf16>(), out.elements(), seed);
  else
    fill(spec, first_row, out.as<float>(), out.elements(), seed);
  return {};
}

}  // namespace erne::weights
