// The kernels of one product give the same bits: which one computes it is a matter of speed.
#define ERNE_CUDA_EMULATED
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/hash.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/linear.h"
#include "cuda/runtime/scratch.h"

namespace erne::cuda::inline emulated {
namespace {

// Numbers between -1 and 1, a function of the index.
std::vector<float> numbers(int64_t count, uint64_t seed) {
  std::vector<float> out(count);
  for (int64_t i = 0; i < count; ++i)
    out[i] = static_cast<float>(static_cast<int32_t>(mix64(seed + i))) * 0x1p-31f;
  return out;
}

// A product whose shape has ragged ends of rows, outputs and inputs, and several slices.
class Product {
 public:
  static constexpr int64_t kRows = 71, kOut = 147, kIn = 520;

  Product(const char* format, LinearInput input) {
    std::vector<float> weights = numbers(kOut * kIn, 1);
    w = backend_->pack({weights.data(), DType::kF32, {kOut, kIn}}, *find_weight_format(format),
                       weights_);
    w.input = input;
    std::vector<Bf16> values;
    for (const float value : numbers(kRows * kIn, 2)) values.push_back(to_bf16(value));
    inputs_ = backend_->allocate(values.size() * sizeof(Bf16));
    outputs_ = backend_->allocate(kRows * kOut * sizeof(float));
    backend_->upload(std::as_bytes(std::span(values)), inputs_.span());
    x = {inputs_.data(), DType::kBf16, {kRows, kIn}};
    y = {outputs_.data(), DType::kF32, {kRows, kOut}};
    backend_->finish();
  }

  template <class Weights, LinearInput input>
  void expect_same_bits() {
    const ProductRows rows = kernels::product_rows(stream_, scratch_, w, x);
    launch_fragments<Weights, input>(stream_, w, rows, y);
    const std::vector<float> expected = result();
    launch_tiled<Weights, input>(stream_, w, rows, y);
    EXPECT_EQ(result(), expected) << w.format->name;
    if constexpr (!Weights::kIntegers) {
      launch_warpgroups<Weights, input>(stream_, scratch_, w, rows, y);
      EXPECT_EQ(result(), expected) << w.format->name << " by warpgroups";
    }
    EXPECT_NE(expected[kRows * kOut - 1], 0);
  }

  Linear w;
  DeviceView x, y;

 private:
  // And forgets it.
  std::vector<float> result() {
    std::vector<float> out(kRows * kOut), nothing(kRows * kOut, NAN);
    backend_->download(outputs_.span(), std::as_writable_bytes(std::span(out)));
    backend_->upload(std::as_bytes(std::span(nothing)), outputs_.span());
    backend_->finish();
    return out;
  }

  const std::unique_ptr<Backend> backend_ = make_cuda_backend(0, {}).value();
  const std::unique_ptr<Runtime> runtime_ = Runtime::open(0).value();
  Scratch scratch_{*runtime_};
  Stream stream_;
  DeviceBuffer weights_, inputs_, outputs_;
};

constexpr LinearInput kGiven = LinearInput::kAsGiven, kInt8 = LinearInput::kInt8,
                      kFp8 = LinearInput::kFp8;

TEST(LinearKernels, GiveTheSameBitsForActivationsAsGiven) {
  Product("bfloat16", kGiven).expect_same_bits<Bf16Weights, kGiven>();
  Product("wint8", kGiven).expect_same_bits<Int8AsBf16, kGiven>();
  Product("wint4_g64", kGiven).expect_same_bits<Int4AsBf16, kGiven>();
  Product("block_wise_fp8", kGiven).expect_same_bits<Fp8AsBf16, kGiven>();
  Product("wint2", kGiven).expect_same_bits<CcqWeights, kGiven>();
}

TEST(LinearKernels, GiveTheSameBitsForActivationsOf8Bits) {
  Product("wint8", kInt8).expect_same_bits<Int8Weights, kInt8>();
  Product("wint4_g64", kInt8).expect_same_bits<Int4Weights, kInt8>();
  Product("wint4_g128", kInt8).expect_same_bits<Int4Weights, kInt8>();
  Product("w4afp8", kFp8).expect_same_bits<Int4AsBf16, kFp8>();
  Product("block_wise_fp8", kFp8).expect_same_bits<Fp8AsBf16, kFp8>();
}

}  // namespace
}  // namespace erne::cuda::inline emulated
