#include "weights/quantized_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"

namespace erne::weights {
namespace {

bool has_type(const CheckpointTensor& tensor, std::initializer_list<std::string_view> types) {
  for (const std::string_view type : types)
    if (type == tensor.type->name) return true;
  return false;
}

Status wrong(const std::string& name, const CheckpointTensor& tensor, const std::string& expected) {
  return invalid(
      fmt::format("tensor {} in {}: found {} {}, expected {}", quote_name(name),
                  quote_name(tensor.file), tensor.type->name, tensor.shape.str(), expected),
      name);
}

float float_at(const CheckpointTensor& tensor, int64_t i) {
  if (std::string_view(tensor.type->name) == "F32") {
    float value;
    std::memcpy(&value, tensor.data + i * sizeof(value), sizeof(value));
    return value;
  }
  Bf16 value;
  std::memcpy(&value, tensor.data + i * sizeof(value), sizeof(value));
  return to_float(value);
}

constexpr uint8_t kLowestByte = 0x80;  // -128

uint8_t byte_of(const CheckpointTensor& tensor, int64_t i) {
  return static_cast<uint8_t>(tensor.data[i]);
}

}  // namespace

Result<const CheckpointTensor*> QuantizedTensor::part(const Checkpoint& checkpoint,
                                                      const std::string& name) {
  const CheckpointTensor* tensor = checkpoint.find(name);
  if (tensor == nullptr)
    return invalid(
        fmt::format("tensor {}: found nowhere in {}, though {} is there", quote_name(name),
                    checkpoint.folder().string(), quote_name(names_.empty() ? name : names_[0])),
        name);
  names_.push_back(name);
  return tensor;
}

Result<std::vector<float>> QuantizedTensor::scales(const Checkpoint& checkpoint,
                                                   const std::string& name, const Shape& shape) {
  const CheckpointTensor& tensor = *TRY(part(checkpoint, name));
  const int64_t count = shape.elements();
  const bool flat = shape.rank() == 1 && tensor.shape.elements() == count;
  if (!has_type(tensor, {"F32", "BF16", "U16"}) || !(tensor.shape == shape || flat))
    return wrong(name, tensor, fmt::format("F32, BF16 or U16 {}", shape.str()));
  std::vector<float> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = float_at(tensor, i);
  return values;
}

Result<void> QuantizedTensor::find_fp8(const Checkpoint& checkpoint, const std::string& base) {
  const std::string name = base + "weight";
  codes_ = TRY(part(checkpoint, name));
  if (codes_->shape != Shape{out_, in_})
    return wrong(name, *codes_, fmt::format("F8_E4M3 {}", Shape{out_, in_}.str()));
  kind_ = Kind::kFp8;
  columns_ = in_;
  scales_ = TRY(scales(checkpoint, base + "weight_scale_inv",
                       {block_fp8::num_tiles(out_), block_fp8::num_tiles(in_)}));
  return {};
}

Result<void> QuantizedTensor::find_integers(const Checkpoint& checkpoint, const std::string& base,
                                            bool transposed) {
  const std::string name = base + "quant_weight";
  codes_ = TRY(part(checkpoint, name));
  const int64_t half = (in_ + 1) / 2;
  const Shape& found = codes_->shape;
  const std::pair<Kind, int64_t> kinds[] = {{Kind::kInt8, in_}, {Kind::kInt4, half}};
  for (const auto& [kind, columns] : kinds) {
    const bool straight = found == Shape{out_, columns}, turned = found == Shape{columns, out_};
    if (!straight && !turned) continue;
    kind_ = kind;
    columns_ = columns;
    transposed_ = straight && turned ? transposed : turned;
    scales_ = TRY(scales(checkpoint, base + "weight_scale", {out_}));
    return {};
  }
  return wrong(name, *codes_,
               fmt::format("int8 {}, int4 {}, or the transpose of either", Shape{out_, in_}.str(),
                           Shape{out_, half}.str()));
}

Result<void> QuantizedTensor::find_ccq(const Checkpoint& checkpoint, const std::string& base) {
  const std::string name = base + "quant_weight", locals = base + "weight_scale";
  codes_ = TRY(part(checkpoint, name));
  const Shape bytes{ccq::num_bytes(in_), out_};
  if (!has_type(*codes_, {"U8"}) || codes_->shape != bytes)
    return wrong(name, *codes_, fmt::format("U8 {}", bytes.str()));
  kind_ = Kind::kCcq;
  columns_ = bytes[0];
  transposed_ = true;
  code_scales_ = TRY(scales(checkpoint, base + "code_scale", {out_}));
  code_zeros_ = TRY(scales(checkpoint, base + "code_zp", {out_}));
  scales_ = TRY(scales(checkpoint, base + "super_scales", {out_}));
  locals_ = TRY(part(checkpoint, locals));
  const Shape pairs{(ccq::num_locals(in_) + 1) / 2, out_};
  if (!has_type(*locals_, {"U8"}) || locals_->shape != pairs)
    return wrong(locals, *locals_, fmt::format("U8 {}", pairs.str()));
  return {};
}

Result<std::optional<QuantizedTensor>> QuantizedTensor::find(const Checkpoint& checkpoint,
                                                             const std::string& name, int64_t out,
                                                             int64_t in, bool transposed) {
  constexpr std::string_view kEnd = "weight";
  if (!name.ends_with(kEnd)) return std::optional<QuantizedTensor>();
  const std::string base = name.substr(0, name.size() - kEnd.size());
  QuantizedTensor tensor(out, in);
  const CheckpointTensor* plain = checkpoint.find(name);
  if (plain != nullptr && has_type(*plain, {"F8_E4M3"}))
    TRY(tensor.find_fp8(checkpoint, base));
  else if (plain != nullptr || checkpoint.find(base + "quant_weight") == nullptr)
    return std::optional<QuantizedTensor>();
  else if (checkpoint.find(base + "super_scales") != nullptr)
    TRY(tensor.find_ccq(checkpoint, base));
  else
    TRY(tensor.find_integers(checkpoint, base, transposed));
  return std::optional(std::move(tensor));
}

uint8_t QuantizedTensor::byte_at(int64_t row, int64_t column) const {
  return byte_of(*codes_, transposed_ ? column * out_ + row : row * columns_ + column);
}

// The even group is the high half of a byte.
uint8_t QuantizedTensor::local_at(int64_t row, int64_t group) const {
  const int pair = byte_of(*locals_, group / 2 * out_ + row);
  return static_cast<uint8_t>(group % 2 == 0 ? pair >> 4 : pair & 15);
}

float QuantizedTensor::value(int64_t row, int64_t k) const {
  switch (kind_) {
    case Kind::kFp8: {
      const int64_t tiles = block_fp8::num_tiles(in_);
      return to_float(Fp8{byte_at(row, k)}) *
             scales_[row / block_fp8::kTile * tiles + k / block_fp8::kTile];
    }
    case Kind::kInt8:
      return static_cast<float>(static_cast<int8_t>(byte_at(row, k))) * scales_[row];
    case Kind::kInt4: {
      const int nibble = byte_at(row, k / 2) >> (k % 2 * 4) & 15;
      return static_cast<float>(nibble < 8 ? nibble : nibble - 16) * scales_[row];
    }
    case Kind::kCcq: {
      const int code =
          ccq::code_of(byte_at(row, k / ccq::kPerByte), code_scales_[row], code_zeros_[row]);
      return ccq::decode(code, static_cast<int>(k % ccq::kPerByte),
                         local_at(row, k / ccq::kLocalGroup), to_bf16(scales_[row]));
    }
  }
  return 0;
}

void QuantizedTensor::read_rows(int64_t first, int64_t count, float* to) const {
  for (int64_t row = first; row < first + count; ++row)
    for (int64_t k = 0; k < in_; ++k) *to++ = value(row, k);
}

bool QuantizedTensor::has_codes_of(const WeightFormat& format) const {
  switch (format.encoding) {
    case Encoding::kPlain:
      return false;
    case Encoding::kSymmetricInt:
      return format.group == 0 && kind_ == (format.bits == 8 ? Kind::kInt8 : Kind::kInt4);
    case Encoding::kBlockFp8:
      return kind_ == Kind::kFp8;
    case Encoding::kCcq:
      return kind_ == Kind::kCcq;
  }
  return false;
}

void QuantizedTensor::read_bytes(int64_t first, int64_t count, uint8_t* to) const {
  if (!transposed_) {
    const auto* from = codes_->data + first * columns_;
    std::memcpy(to, from, count * columns_);
    return drop_pages({from, static_cast<size_t>(count * columns_)});
  }
  constexpr int64_t kTile = 64;  // columns, whose cache lines serve the rows that follow each other
  for (int64_t begin = 0; begin < columns_; begin += kTile)
    for (int64_t row = 0; row < count; ++row)
      for (int64_t column = begin; column < std::min(begin + kTile, columns_); ++column)
        to[row * columns_ + column] = byte_of(*codes_, column * out_ + first + row);
  if (first + count == out_) drop_pages({codes_->data, static_cast<size_t>(columns_ * out_)});
}

void QuantizedTensor::read_ccq_scales(int64_t row, EncodedRows& out, int64_t at) const {
  out.scales[at] = scales_[row];
  out.code_scales[at] = code_scales_[row];
  out.code_zeros[at] = code_zeros_[row];
  for (int64_t group = 0; group < out.num_locals(); ++group)
    out.locals[at * out.num_locals() + group] = local_at(row, group);
}

Result<void> QuantizedTensor::read_encoded(int64_t first, int64_t count, EncodedRows& out,
                                           int64_t at) const {
  std::vector<uint8_t> bytes(count * columns_);
  read_bytes(first, count, bytes.data());
  uint8_t* to = out.codes.data() + at * out.num_codes();
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* from = bytes.data() + i * columns_;
    float* scales = out.scales.data() + (at + i) * out.num_scales();
    switch (kind_) {
      case Kind::kFp8:
        std::copy_n(from, in_, to);
        std::copy_n(&scales_[(first + i) / block_fp8::kTile * out.num_scales()], out.num_scales(),
                    scales);
        break;
      case Kind::kInt8:
        if (std::find(from, from + in_, kLowestByte) != from + in_)
          return invalid(fmt::format("tensor {}: found the code -128; codes go from -127 to 127",
                                     quote_name(names_[0])),
                         names_[0]);
        std::transform(from, from + in_, to, [](uint8_t code) { return code ^ 0x80; });
        *scales = scales_[first + i];
        break;
      case Kind::kInt4:
        for (int64_t k = 0; k < in_; ++k) to[k] = (from[k / 2] >> (k % 2 * 4) & 15) ^ 8;
        *scales = scales_[first + i];
        break;
      case Kind::kCcq:
        std::copy_n(from, columns_, to);
        read_ccq_scales(first + i, out, at + i);
        break;
    }
    to += out.num_codes();
  }
  return {};
}

}  // namespace erne::weights
