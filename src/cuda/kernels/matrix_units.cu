#include "cuda/kernels/matrix_units.h"

#include <vector>

#include "base/hash.h"
#include "cuda/kernels/fragment_linear.h"
#include "cuda/kernels/warpgroup_linear.h"
#include "cuda/runtime/runtime.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// The product that is computed both ways: each sum is two chains of eight instructions.
constexpr int64_t kRows = 8, kOut = 128, kIn = 256, kSums = kRows * kOut;

// Device memory while this lasts.
class Memory {
 public:
  Memory(Runtime& runtime, size_t bytes) : runtime_(runtime), data_(runtime.allocate(bytes)) {}
  ~Memory() { runtime_.free(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* data() const { return data_; }
  DevicePointer address() const { return DeviceAccess::address(data_); }

 private:
  Runtime& runtime_;
  void* data_;
};

// Numbers of either sign between 2^-6 and 2^7, so that those of one sum lie far apart and bits are
// rounded away inside of every instruction.
std::vector<Bf16> numbers(size_t count, uint64_t seed) {
  std::vector<Bf16> out(count);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t bits = mix64(seed + i);
    const uint64_t exponent = 121 + (bits >> 8) % 13;
    out[i].bits = static_cast<uint16_t>((bits & 0x807F) | exponent << 7);
  }
  return out;
}

}  // namespace

namespace kernels {

// Weights are drawn as they lie, in fragments.
UnitsComparison compare_matrix_units(Runtime& runtime, Scratch& scratch) {
  const WeightFormat& format = *find_weight_format("bfloat16");
  const std::vector<Bf16> weights = numbers(kOut * kIn, 1), rows = numbers(kRows * kIn, 2);
  const Memory w_data(runtime, PackedMatrix(format, kOut, kIn).bytes);
  const Memory x_data(runtime, rows.size() * sizeof(Bf16));
  runtime.copy_in(weights.data(), w_data.data(), weights.size() * sizeof(Bf16));
  runtime.copy_in(rows.data(), x_data.data(), rows.size() * sizeof(Bf16));
  const Linear w = Linear::at(w_data.address(), format, kOut, kIn);
  scratch.begin_op();
  const ProductRows x =
      product_rows(runtime.stream(), scratch, w, {x_data.address(), DType::kBf16, {kRows, kIn}});

  // Each into memory of its own, zeroed: a kernel that does nothing gives other sums.
  using Bits = std::vector<uint32_t>;
  const auto sums_by = [&](const auto& multiply) {
    const Memory y(runtime, kSums * sizeof(float));
    multiply(DeviceView{y.address(), DType::kF32, {kRows, kOut}});
    Bits sums(kSums);
    runtime.copy_out(y.data(), sums.data(), kSums * sizeof(float));
    runtime.finish();
    return sums;
  };
  const Bits by_warps = sums_by([&](const DeviceView& y) {
    launch_fragments<Bf16Weights, LinearInput::kAsGiven>(runtime.stream(), w, x, y);
  });
  const Bits by_warpgroups = sums_by([&](const DeviceView& y) {
    launch_warpgroups<Bf16Weights, LinearInput::kAsGiven>(runtime.stream(), scratch, w, x, y);
  });
  int64_t different = 0;
  for (int64_t i = 0; i < kSums; ++i) different += by_warps[i] != by_warpgroups[i];
  return {kSums, different};
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
