#include "weights/quantized_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"
#include "tensor/half.h"

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
  const auto read = [&](auto value) {
    std::memcpy(&value, tensor.data + i * sizeof(value), sizeof(value));
    return to_float(value);
  };
  const std::string_view type = tensor.type->name;
  return type == "F32" ? read(float{}) : type == "F16" ? read(Half{}) : read(Bf16{});
}

constexpr uint8_t kLowestByte = 0x80;  // -128

uint8_t byte_of(const CheckpointTensor& tensor, int64_t i) {
  return static_cast<uint8_t>(tensor.data[i]);
}

}  // namespace

Result<const CheckpointTensor*> QuantizedTensor::part(const Checkpoint& checkpoint,
                                                      const std::string& name) {
  const CheckpointTensor* tensor = checkpoint.find(name);
  if (tensor == nullptr && !checkpoint.why_missing(name).empty())
    return invalid(fmt::format("tensor {}: {}", quote_name(name), checkpoint.why_missing(name)),
                   name);
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
  if (!has_type(tensor, {"F32", "F16", "BF16", "U16"}) || !(tensor.shape == shape || flat))
    return wrong(name, tensor, fmt::format("F32, F16, BF16 or U16 {}", shape.str()));
  std::vector<float> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = float_at(tensor, i);
  return values;
}

Result<void> QuantizedTensor::find_fp8(const Checkpoint& checkpoint, const std::string& base) {
  const std::string name = base + "weight";
  codes_ = TRY(part(checkpoint, name));
  if (codes_->shape != Shape{out_, in_})
    return wrong(name, *codes_, fmt::format("F8_E4M3 {}", Shape{out_, in_}.str()));
  format_ = find_weight_format("block_wise_fp8");
  read_row_ = &QuantizedTensor::read_fp8;
  columns_ = in_;
  scales_ = TRY(scales(checkpoint, base + "weight_scale_inv",
                       {block_fp8::num_squares(out_), block_fp8::num_squares(in_)}));
  return {};
}

Result<void> QuantizedTensor::find_integers(const Checkpoint& checkpoint, const std::string& base,
                                            bool transposed) {
  const std::string name = base + "quant_weight";
  codes_ = TRY(part(checkpoint, name));
  const int64_t half = (in_ + 1) / 2;
  const Shape& found = codes_->shape;
  struct Kind {
    const char* format;
    ReadRow read_row;
    int64_t columns;
  };
  const Kind kinds[] = {{"wint8", &QuantizedTensor::read_int8, in_},
                        {"wint4", &QuantizedTensor::read_int4, half}};
  for (const auto& [format, read_row, columns] : kinds) {
    const bool straight = found == Shape{out_, columns}, turned = found == Shape{columns, out_};
    if (!straight && !turned) continue;
    format_ = find_weight_format(format);
    read_row_ = read_row;
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
  format_ = find_weight_format("wint2");
  read_row_ = &QuantizedTensor::read_ccq;
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

void QuantizedTensor::read_fp8(int64_t row, const uint8_t* from, std::span<uint8_t> codes,
                               std::span<float> scales) const {
  std::copy_n(from, in_, codes.begin());
  std::copy_n(&scales_[row / block_fp8::kSquare * std::ssize(scales)], scales.size(),
              scales.begin());
}

// Two's complement becomes a code: the sign is turned over.
void QuantizedTensor::read_int8(int64_t row, const uint8_t* from, std::span<uint8_t> codes,
                                std::span<float> scales) const {
  std::transform(from, from + in_, codes.begin(), [](uint8_t code) { return code ^ 0x80; });
  scales[0] = scales_[row];
}

void QuantizedTensor::read_int4(int64_t row, const uint8_t* from, std::span<uint8_t> codes,
                                std::span<float> scales) const {
  for (int64_t k = 0; k < in_; ++k) codes[k] = (from[k / 2] >> (k % 2 * 4) & 15) ^ 8;
  scales[0] = scales_[row];
}

// The even group is the high half of a byte.
uint8_t QuantizedTensor::local_at(int64_t row, int64_t group) const {
  const int pair = byte_of(*locals_, group / 2 * out_ + row);
  return static_cast<uint8_t>(group % 2 == 0 ? pair >> 4 : pair & 15);
}

void QuantizedTensor::read_ccq(int64_t row, const uint8_t* from, std::span<uint8_t> codes,
                               std::span<float> scales) const {
  std::copy_n(from, columns_, codes.begin());
  for (int64_t group = 0; group < ccq::num_locals(in_); ++group)
    codes[columns_ + group] = local_at(row, group);
  scales[ccq::kSuper] = scales_[row];
  scales[ccq::kCode] = code_scales_[row];
  scales[ccq::kZero] = code_zeros_[row];
}

std::vector<uint8_t> QuantizedTensor::read_bytes(int64_t first, int64_t count) const {
  std::vector<uint8_t> bytes(count * columns_);
  if (!transposed_) {
    const auto* from = codes_->data + first * columns_;
    std::memcpy(bytes.data(), from, bytes.size());
    drop_pages({from, bytes.size()});
    return bytes;
  }
  constexpr int64_t kTile = 64;  // columns, whose cache lines serve the rows that follow each other
  for (int64_t begin = 0; begin < columns_; begin += kTile)
    for (int64_t row = 0; row < count; ++row)
      for (int64_t column = begin; column < std::min(begin + kTile, columns_); ++column)
        bytes[row * columns_ + column] = byte_of(*codes_, column * out_ + first + row);
  if (first + count == out_) drop_pages({codes_->data, static_cast<size_t>(columns_ * out_)});
  return bytes;
}

void QuantizedTensor::read_encoded_bytes(std::span<const uint8_t> bytes, int64_t first,
                                         EncodedRows& out, int64_t at) const {
  for (; !bytes.empty(); bytes = bytes.subspan(columns_), ++first, ++at)
    (this->*read_row_)(first, bytes.data(), out.codes_of(at), out.scales_of(at));
}

void QuantizedTensor::read_rows(int64_t first, int64_t count, float* to) const {
  EncodedRows rows(*format_, count, in_);
  read_encoded_bytes(read_bytes(first, count), first, rows, 0);
  for (int64_t row = 0; row < count; ++row, to += in_)
    format_->rules().decode(rows, row, {to, static_cast<size_t>(in_)});
}

bool QuantizedTensor::has_codes_of(const WeightFormat& format) const {
  return format_->has_codes_of(format);
}

Result<void> QuantizedTensor::read_encoded(int64_t first, int64_t count, EncodedRows& out,
                                           int64_t at) const {
  const std::vector<uint8_t> bytes = read_bytes(first, count);
  if (read_row_ == &QuantizedTensor::read_int8 &&
      std::ranges::find(bytes, kLowestByte) != bytes.end())
    return invalid(fmt::format("tensor {}: found the code -128; codes go from -127 to 127",
                               quote_name(names_[0])),
                   names_[0]);
  read_encoded_bytes(bytes, first, out, at);
  return {};
}

}  // namespace erne::weights
