// A matrix of a checkpoint that others have quantised: codes and scales under the names and in the
// layouts of FastDeploy's offline quantisation and of Hugging Face's block-wise fp8
// (docs/ernie-models.md, 6.4 and 8). For a linear X [out, in]:
//
//   fp8     X.weight F8_E4M3 [out, in], X.weight_scale_inv [out / 128, in / 128]
//   int8    X.quant_weight I8 [out, in] or [in, out], X.weight_scale [out]
//   int4    X.quant_weight I8 or U8 [out, in / 2] or [in / 2, out]: two's complement, the even
//           input in the low half; X.weight_scale [out]
//   wint2   X.quant_weight U8 [in / 4, out], X.code_scale and X.code_zp F32 [out],
//           X.weight_scale U8 [in / 128, out], X.super_scales [out]
//
// Scales are F32, F16, BF16 or Paddle's U16; those of integers and super scales count as bfloat16.
// Permuted GPU orders are not read.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/encoded_rows.h"
#include "weights/checkpoint.h"

namespace erne::weights {

class QuantizedTensor {
 public:
  // nullopt: the checkpoint has no such matrix in quantised form. `name` ends in ".weight";
  // `transposed`: which way round matrices lie that could be either.
  static Result<std::optional<QuantizedTensor>> find(const Checkpoint& checkpoint,
                                                     const std::string& name, int64_t out,
                                                     int64_t in, bool transposed);

  // Writes rows [first, first + count) as float32, [count, in].
  void read_rows(int64_t first, int64_t count, float* to) const;
  // Whether its codes and scales are those of `format`; then read_encoded() writes the same rows as
  // they are, from row `at` of `out` on. Fails where a code is none of the format's.
  bool has_codes_of(const WeightFormat& format) const;
  Result<void> read_encoded(int64_t first, int64_t count, EncodedRows& out, int64_t at) const;
  // The tensors it is made of.
  const std::vector<std::string>& names() const { return names_; }

 private:
  // One row of codes as stored, to a row of EncodedRows.
  using ReadRow = void (QuantizedTensor::*)(int64_t row, const uint8_t* from,
                                            std::span<uint8_t> codes,
                                            std::span<float> scales) const;

  QuantizedTensor(int64_t out, int64_t in) : out_(out), in_(in) {}
  Result<const CheckpointTensor*> part(const Checkpoint& checkpoint, const std::string& name);
  Result<std::vector<float>> scales(const Checkpoint& checkpoint, const std::string& name,
                                    const Shape& shape);
  Result<void> find_fp8(const Checkpoint& checkpoint, const std::string& base);
  Result<void> find_integers(const Checkpoint& checkpoint, const std::string& base,
                             bool transposed);
  Result<void> find_ccq(const Checkpoint& checkpoint, const std::string& base);
  void read_fp8(int64_t row, const uint8_t* from, std::span<uint8_t> codes,
                std::span<float> scales) const;
  void read_int8(int64_t row, const uint8_t* from, std::span<uint8_t> codes,
                 std::span<float> scales) const;
  void read_int4(int64_t row, const uint8_t* from, std::span<uint8_t> codes,
                 std::span<float> scales) const;
  void read_ccq(int64_t row, const uint8_t* from, std::span<uint8_t> codes,
                std::span<float> scales) const;
  std::vector<uint8_t> read_bytes(int64_t first, int64_t count) const;  // [count, columns_]
  void read_encoded_bytes(std::span<const uint8_t> bytes, int64_t first, EncodedRows& out,
                          int64_t at) const;
  uint8_t local_at(int64_t row, int64_t group) const;

  int64_t out_, in_;
  const WeightFormat* format_ = nullptr;  // one that has these codes and scales
  ReadRow read_row_ = nullptr;
  const CheckpointTensor* codes_ = nullptr;
  int64_t columns_ = 0;        // codes of a row
  bool transposed_ = false;    // codes lie [columns, out]
  std::vector<float> scales_;  // fp8: of squares; else of outputs (wint2: super scales)
  std::vector<float> code_scales_, code_zeros_;
  const CheckpointTensor* locals_ = nullptr;
  std::vector<std::string> names_;
};

}  // namespace erne::weights
