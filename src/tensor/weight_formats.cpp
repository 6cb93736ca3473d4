#include <array>

#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"
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

}  // namespace

int64_t WeightFormat::bytes(int64_t out, int64_t in) const {
  switch (encoding) {
    case Encoding::kPlain:
      return out * in * bits / 8;
    case Encoding::kSymmetricInt:
      return out * ((in * bits + 7) / 8 + num_runs(in) * static_cast<int64_t>(sizeof(Bf16)));
    case Encoding::kBlockFp8:
      return out * in + block_fp8::num_tiles(out) * block_fp8::num_tiles(in) * int64_t{4};
    case Encoding::kCcq:  // two local scales to a byte; super scale, code scale and code zero
      return out * (ccq::num_bytes(in) + (ccq::num_locals(in) + 1) / 2 + 2 + 4 + 4);
  }
  check_failed(__FILE__, __LINE__, "an encoding", name);
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
