#include <array>

#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"
#include "tensor/formats/symmetric_int.h"
#include "tensor/weight_format.h"

namespace erne {
namespace {

constexpr DType kBytes = DType::kU8;
constexpr LinearInput kInt8 = LinearInput::kInt8, kFp8 = LinearInput::kFp8;

constexpr std::array<WeightFormat, 9> kFormats = {{
    {"bfloat16", Encoding::kPlain, DType::kBf16, 16},
    {"float32", Encoding::kPlain, DType::kF32, 32},
    // FastDeploy's: a scale per output; tables stay as they are.
    {"wint8", Encoding::kSymmetricInt, kBytes, 8, kInt8},
    {"wint4", Encoding::kSymmetricInt, kBytes, 4, kInt8},
    // wint4 multiplied by fp8 activations.
    {"w4afp8", Encoding::kSymmetricInt, kBytes, 4, kFp8},
    // Ours, for CPUs: all matrices, so that a step reads little more than half a byte per weight.
    {"wint4_g128", Encoding::kSymmetricInt, kBytes, 4, kInt8, 128, true, true},
    {"wint4_g64", Encoding::kSymmetricInt, kBytes, 4, kInt8, 64, true, true},
    {"block_wise_fp8", Encoding::kBlockFp8, kBytes, 8, kFp8},
    {"wint2", Encoding::kCcq, kBytes, 2},
}};

int64_t plain_bytes(const WeightFormat& format, int64_t out, int64_t in) {
  return out * in * format.bits / 8;
}

const EncodingRules* rules_of(Encoding encoding) {
  static constexpr EncodingRules kPlain{.bytes = plain_bytes};
  switch (encoding) {
    case Encoding::kPlain:
      return &kPlain;
    case Encoding::kSymmetricInt:
      return &symmetric_int::kRules;
    case Encoding::kBlockFp8:
      return &block_fp8::kRules;
    case Encoding::kCcq:
      return &ccq::kRules;
  }
  return nullptr;
}

}  // namespace

const EncodingRules& WeightFormat::rules() const {
  const EncodingRules* rules = rules_of(encoding);
  CHECK(rules != nullptr);
  return *rules;
}

int64_t WeightFormat::bytes(int64_t out, int64_t in) const {
  return rules().bytes(*this, out, in);
}

std::span<const WeightFormat> weight_formats() {
  return kFormats;
}

const WeightFormat* find_weight_format(std::string_view name) {
  for (const WeightFormat& format : kFormats)
    if (name == format.name) return &format;
  return nullptr;
}

const WeightFormat& plain_format(DType dtype) {
  for (const WeightFormat& format : kFormats)
    if (format.stored == dtype && !format.is_quantized()) return format;
  check_failed(__FILE__, __LINE__, "a plain weight format", dtype_name(dtype));
}

}  // namespace erne
