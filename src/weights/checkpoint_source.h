// Finds a model's tensors in a checkpoint, whichever way it lays them out:
//   -PT      prefix `model.`, linears [out, in], q/k/v and gate/up apart or (early files) fused
//   -Paddle  prefix `ernie.`, linears [in, out], qkv (Q, K, V) and gate/up (gate first) fused
// Which way round linears lie is decided once per checkpoint, from those that are not square; where
// all are, from the prefix. bfloat16 may be called BF16 or, as Paddle does, U16; float16 is
// converted, which float32 holds exactly and bfloat16 rounds. Linears that
// others have quantised (quantized_tensor.h) are read as the float32 numbers that they stand for.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/checkpoint.h"
#include "weights/quantized_tensor.h"
#include "weights/weight_store.h"

namespace erne::weights {

class CheckpointSource final : public WeightSource {
 public:
  // Finds every spec and checks its type and shape, before any data is read. An error's param is
  // the name of the tensor as the checkpoint spells it.
  static Result<CheckpointSource> make(Checkpoint checkpoint, std::span<const TensorSpec> specs);

  Result<DType> stored_dtype(const TensorSpec& spec) override;
  bool is_quantized(const TensorSpec& spec) const override;
  bool has_codes_of(const TensorSpec& spec, const WeightFormat& format) const override;
  // Pages of the checkpoint leave this process's memory once their rows have been read.
  Result<void> read_rows(const TensorSpec& spec, int64_t first_row, TensorView out) override;
  Result<void> read_encoded(const TensorSpec& spec, int64_t first_row, EncodedRows& out) override;
  std::string identity() const override;
  uint64_t fingerprint() const override { return checkpoint_.fingerprint(); }

  // Names that no spec asked for, in order, of tensors that could not be read as well.
  std::vector<std::string> unused() const;
  // True if a tensor that the specs ask for is stored in float16.
  bool holds_float16() const;

 private:
  struct Piece {  // rows of a spec that lie in one tensor
    std::string name;
    const CheckpointTensor* tensor = nullptr;
    int64_t first_row = 0, rows = 0, columns = 0;
    bool transposed = false;
    std::optional<QuantizedTensor> quantized = {};  // then there is no tensor
  };
  struct Orientation {  // of the checkpoint's linears, once one that is not square was seen
    bool transposed = false;
    std::string witness = {};
  };

  // Rows [begin, end) of a piece.
  template <class From, class To>
  static void copy(const Piece& piece, int64_t begin, int64_t end, To* to);

  template <class To>
  static void dequantize(const Piece& piece, int64_t begin, int64_t end, To* to);

  explicit CheckpointSource(Checkpoint checkpoint);
  std::string spelled(const std::string& name) const;
  // nullopt: the checkpoint does not have it.
  Result<std::optional<Piece>> find_piece(const TensorSpec& spec, const std::string& name,
                                          int64_t rows) const;
  Status missing(const std::string& name, const std::string& fused) const;
  Result<std::vector<Piece>> find_pieces(const TensorSpec& spec) const;
  Result<void> check_shape(const TensorSpec& spec, const Piece& piece, Orientation& seen) const;
  void orient(const TensorSpec& spec, Piece& piece, const Orientation& seen) const;

  Checkpoint checkpoint_;
  bool paddle_prefix_ = false;
  std::map<std::string, std::vector<Piece>, std::less<>> pieces_;  // by TensorSpec::name
};

}  // namespace erne::weights
