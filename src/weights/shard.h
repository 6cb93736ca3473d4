// What one rank of several has of a model's tensors. A model's list says how each tensor is shared
// (TensorSpec::shard); from it come the list of what a rank loads, and a source that reads just
// that. With one rank both are what they were.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "weights/weight_store.h"

namespace erne::weights {

// The tensors as this rank has them. Refused: sizes that have no equal shares.
Result<std::vector<TensorSpec>> share_of(std::span<const TensorSpec> specs, Rank rank);

// Reads a rank's share of what another source has, whose list is `whole`. Both outlive it.
class ShardedSource final : public WeightSource {
 public:
  ShardedSource(WeightSource& source, std::span<const TensorSpec> whole, Rank rank);

  Result<DType> stored_dtype(const TensorSpec& spec) override;
  bool is_quantized(const TensorSpec& spec) const override;
  bool has_codes_of(const TensorSpec& spec, const WeightFormat& format) const override;
  std::optional<RandomMatrix> random_matrix(const TensorSpec& spec) override;
  Result<void> read_rows(const TensorSpec& spec, int64_t first_row, TensorView out) override;
  Result<void> read_encoded(const TensorSpec& spec, int64_t first_row, EncodedRows& out) override;
  std::string identity() const override;
  uint64_t fingerprint() const override;

 private:
  const TensorSpec& whole(const TensorSpec& share) const;

  WeightSource& source_;
  Rank rank_;
  std::map<std::string, const TensorSpec*, std::less<>> whole_;
};

}  // namespace erne::weights
