// Which matrix instructions products of many rows take, on emulated cards of three kinds
// (cuda/runtime/emulated_runtime.cpp).
#define ERNE_CUDA_EMULATED
#include <gtest/gtest.h>

#include <vector>

#include "base/hash.h"
#include "cuda/choose_units.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/kernels.h"
#include "cuda/runtime/launch.h"
#include "cuda/runtime/scratch.h"

namespace erne::cuda::inline emulated {
namespace {

constexpr int kHopper = 0, kAmpere = 1, kOtherHopper = 2;  // the last one's warpgroups cut sums off

ChosenUnits chosen_on(int card) {
  const std::unique_ptr<Runtime> runtime = Runtime::open(card).value();
  Scratch scratch(*runtime);
  return choose_matrix_units(*runtime, scratch);
}

TEST(MatrixUnits, AreWarpgroupsWhereBitsAreTheSame) {
  const ChosenUnits chosen = chosen_on(kHopper);
  EXPECT_EQ(chosen.units, MatrixUnits::kWarpgroups);
  EXPECT_EQ(chosen.why, "all 1024 sums of a product have the same bits by either");
}

TEST(MatrixUnits, AreWarpsWhereThereIsNothingElse) {
  const ChosenUnits chosen = chosen_on(kAmpere);
  EXPECT_EQ(chosen.units, MatrixUnits::kWarps);
  EXPECT_EQ(chosen.why, "compute capability 8.0 has no warpgroup instructions of 9.0");
}

TEST(MatrixUnits, AreWarpsWhereWarpgroupsRoundOtherwise) {
  const ChosenUnits chosen = chosen_on(kOtherHopper);
  EXPECT_EQ(chosen.units, MatrixUnits::kWarps);
  EXPECT_NE(chosen.why.find("of 1024 sums of a product have other bits by warpgroups"),
            std::string::npos)
      << chosen.why;
}

// Between -1 and 1, functions of their index.
std::vector<Bf16> bf16_numbers(int64_t count, uint64_t seed) {
  std::vector<Bf16> out;
  for (int64_t i = 0; i < count; ++i) {
    const auto bits = static_cast<int32_t>(mix64(seed << 32 | static_cast<uint64_t>(i)));
    out.push_back(to_bf16(static_cast<float>(bits) * 0x1p-31f));
  }
  return out;
}

// A product of so many rows and outputs that warpgroups would compute it, if they are asked.
class LargeProduct {
 public:
  static constexpr int64_t kRows = 65, kOut = 64 * 128, kIn = 64;

  explicit LargeProduct(int card)
      : runtime_(Runtime::open(card).value()), backend_(make_cuda_backend(card, {}).value()) {
    std::vector<Bf16> weights = bf16_numbers(kOut * kIn, 1), rows = bf16_numbers(kRows * kIn, 2);
    w_ = backend_->pack({weights.data(), DType::kBf16, {kOut, kIn}},
                        *find_weight_format("bfloat16"), weights_);
    backend_->upload(std::as_bytes(std::span(rows)), inputs_.span());
  }

  std::vector<float> by_backend() {
    backend_->linear(w_, x(), y());
    return result();
  }
  std::vector<float> by(MatrixUnits units) {
    backend_->finish();  // whose stream is another one
    scratch_.begin_op();
    kernels::linear(runtime_->stream(), scratch_, units, w_, x(), y());
    runtime_->finish();
    return result();
  }

 private:
  DeviceView x() const { return {inputs_.data(), DType::kBf16, {kRows, kIn}}; }
  DeviceView y() const { return {outputs_.data(), DType::kF32, {kRows, kOut}}; }
  std::vector<float> result() {
    std::vector<float> out(kRows * kOut);
    backend_->download(outputs_.span(), std::as_writable_bytes(std::span(out)));
    return out;
  }

  const std::unique_ptr<Runtime> runtime_;
  const std::unique_ptr<Backend> backend_;
  Scratch scratch_{*runtime_};
  Linear w_;
  DeviceBuffer weights_, inputs_ = backend_->allocate(kRows * kIn * sizeof(Bf16)),
                         outputs_ = backend_->allocate(kRows * kOut * sizeof(float));
};

TEST(MatrixUnits, GiveTheSameBitsOnEveryCard) {
  const std::vector<float> expected = LargeProduct(kAmpere).by_backend();
  EXPECT_EQ(LargeProduct(kHopper).by_backend(), expected);
  EXPECT_EQ(LargeProduct(kOtherHopper).by_backend(), expected);
}

TEST(MatrixUnits, AreThoseThatWereChosen) {
  LargeProduct product(kOtherHopper);
  const std::vector<float> by_warps = product.by(MatrixUnits::kWarps);
  EXPECT_EQ(product.by(MatrixUnits::kWarps), by_warps);
  EXPECT_NE(product.by(MatrixUnits::kWarpgroups), by_warps);
}

// Two experts of so many pairs that warpgroups would compute them: whole tiles of 128 and ragged
// ones, of which the first's rows go on with those of the other expert.
class LargeMixture {
 public:
  static constexpr int64_t kTokens = 150, kChosen = 2, kHidden = 144;

  LargeMixture(const char* format, LinearInput input, int64_t width)
      : format_(*find_weight_format(format)), input_(input) {
    x_ = upload(bf16_numbers(kTokens * kHidden, 1), DType::kBf16, {kTokens, kHidden});
    std::vector<int32_t> experts;
    std::vector<float> weights;
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t j = 0; j < kChosen; ++j) {
        experts.push_back(static_cast<int32_t>((t + j) % 3));  // the third has few
        weights.push_back(0.5f + 0.25f * static_cast<float>(j));
      }
    for (int64_t t = 20; t < kTokens; ++t)
      for (int64_t j = 0; j < kChosen; ++j)
        experts[t * kChosen + j] = static_cast<int32_t>((t + j) % 2);
    experts_ = upload(experts, DType::kI32, {kTokens, kChosen});
    weights_ = upload(weights, DType::kF32, {kTokens, kChosen});
    y_ = upload(std::vector<Bf16>(kTokens * kHidden), DType::kBf16, {kTokens, kHidden});
    gate_up_ = pack(2 * width, kHidden, 2);
    down_ = pack(kHidden, width, 3);
  }

  std::vector<std::byte> by(MatrixUnits units, bool cuts_off = false) {
    backend_->finish();  // whose stream is another one
    runtime_->stream().model.warpgroups_cut_off = cuts_off;
    kernels::experts(runtime_->stream(), scratch_, units,
                     {.x = x_,
                      .experts = experts_,
                      .weights = weights_,
                      .gate_up = gate_up_,
                      .down = down_,
                      .y = y_,
                      .add = false});
    runtime_->finish();
    std::vector<std::byte> bytes(y_.span().bytes);
    backend_->download(y_.span(), bytes);
    return bytes;
  }

 private:
  template <class T>
  DeviceView upload(const std::vector<T>& values, DType dtype, Shape shape) {
    memory_.push_back(backend_->allocate(values.size() * sizeof(T)));
    backend_->upload(std::as_bytes(std::span(values)), memory_.back().span());
    return {memory_.back().data(), dtype, shape};
  }
  StackedLinear pack(int64_t out, int64_t in, uint64_t seed) {
    constexpr int64_t kExperts = 3;
    const auto bytes = static_cast<int64_t>(backend_->packed_bytes(format_, out, in));
    StackedLinear stack = {.format = &format_,
                           .count = kExperts,
                           .out = out,
                           .in = in,
                           .stride_bytes = (bytes + 63) / 64 * 64,
                           .input = input_};
    memory_.push_back(backend_->allocate(kExperts * stack.stride_bytes));
    stack.data = memory_.back().data();
    for (int64_t e = 0; e < kExperts; ++e) {
      std::vector<Bf16> weights = bf16_numbers(out * in, seed * kExperts + e);
      backend_->pack_rows(stack.linear(e), {weights.data(), DType::kBf16, {out, in}}, 0);
    }
    return stack;
  }

  const WeightFormat& format_;
  const LinearInput input_;
  const std::unique_ptr<Runtime> runtime_ = Runtime::open(kHopper).value();
  const std::unique_ptr<Backend> backend_ = make_cuda_backend(kHopper, {}).value();
  Scratch scratch_{*runtime_};
  std::vector<DeviceBuffer> memory_;
  DeviceView x_, experts_, weights_, y_;
  StackedLinear gate_up_, down_;
};

void expect_same_bits_of_experts(const char* format, LinearInput input, int64_t width) {
  SCOPED_TRACE(format);
  LargeMixture mixture(format, input, width);
  const auto by_warps = mixture.by(MatrixUnits::kWarps);
  EXPECT_TRUE(mixture.by(MatrixUnits::kWarpgroups) == by_warps);
  EXPECT_FALSE(mixture.by(MatrixUnits::kWarpgroups, true) == by_warps);  // so it was warpgroups
}

TEST(MatrixUnits, GiveTheSameBitsOfExperts) {
  expect_same_bits_of_experts("bfloat16", LinearInput::kAsGiven, 48);
  expect_same_bits_of_experts("block_wise_fp8", LinearInput::kFp8, 48);
  expect_same_bits_of_experts("wint4_g64", LinearInput::kAsGiven, 40);  // too narrow for a gate
}

}  // namespace
}  // namespace erne::cuda::inline emulated
