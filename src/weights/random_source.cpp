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

// Four elements from each 64 bits.
template <class T>
void fill_uniform(T* out, int64_t count, float half_width, uint64_t seed) {
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t word = hash_combine(seed, static_cast<uint64_t>(i / 4)) >> (16 * (i % 4));
    const float in_unit = (static_cast<float>(word & 0xFFFF) + 0.5f) / 32768.0f - 1.0f;  // (-1, 1)
    store(out + i, to_bf16(in_unit * half_width));
  }
}

template <class T>
void fill(const TensorSpec& spec, T* out, uint64_t seed) {
  if (spec.kind == TensorKind::kVector) {
    for (int64_t i = 0; i < spec.shape.elements(); ++i) store(out + i, to_bf16(1.0f));
    return;
  }
  const float half_width = std::sqrt(3.0f / static_cast<float>(spec.shape[1]));
  fill_uniform(out, spec.shape.elements(), half_width, seed);
}

}  // namespace

Result<DType> RandomSource::stored_dtype(const TensorSpec&) {
  return DType::kBf16;
}

Result<void> RandomSource::read(const TensorSpec& spec, TensorView out) {
  CHECK(out.shape == spec.shape);
  CHECK(out.dtype == DType::kBf16 || out.dtype == DType::kF32);
  const uint64_t seed = hash_bytes(spec.name.data(), spec.name.size(), seed_);
  if (out.dtype == DType::kBf16)
    fill(spec, out.as<Bf16>(), seed);
  else
    fill(spec, out.as<float>(), seed);
  return {};
}

}  // namespace erne::weights
