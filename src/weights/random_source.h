// Weights drawn from a seed: for tests and for measuring speed without a checkpoint. Each element
// depends on the seed, its tensor's name and its index alone. Matrices are uniform with variance
// 1 / columns, so that activations keep their size; vectors are 1. All are bfloat16 values.
#pragma once

#include "base/hash.h"
#include "weights/weight_store.h"

namespace erne::weights {

class RandomSource final : public WeightSource {
 public:
  explicit RandomSource(uint64_t seed) : seed_(seed) {}
  Result<DType> stored_dtype(const TensorSpec& spec) override;
  std::optional<RandomMatrix> random_matrix(const TensorSpec& spec) override;
  Result<void> read_rows(const TensorSpec& spec, int64_t first_row, TensorView out) override;
  std::string identity() const override { return {}; }
  uint64_t fingerprint() const override { return hash_combine(0x72616E646F6Dull, seed_); }

 private:
  uint64_t seed_;
};

}  // namespace erne::weights
