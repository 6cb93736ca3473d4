// Which experts compute a token. arithmetic.h, "Route", has the rules.
#include <limits>

#include "base/check.h"
#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/kernels.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// A number that is the larger, the better a score is; never 0. A NaN is worse than all others;
// zeros of both signs are equal.
ON_DEVICE uint32_t rank_of(float score) {
  if (score != score) return 1;
  const auto bits = bits_as<uint32_t>(score + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// A warp for each token. Lane l has experts l, l + 32, ..., at most `per_lane` of them.
template <int per_lane>
struct Route {
  static constexpr int kThreads = 128;
  static constexpr int kWarps = kThreads / kWarp;

  Global<float> logits, bias;  // bias: may have none
  Global<int32_t> experts;
  Global<float> weights;
  int64_t tokens;
  int num_experts, chosen;
  float norm_min;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t token = int64_t{block_x()} * kWarps + warp();
    if (token >= tokens) return;
    float p[per_lane] = {};
    for (int i = 0; i < per_lane; ++i)
      if (expert(i) < num_experts) p[i] = logits[token * num_experts + expert(i)];
    softmax(p);
    choose(p, token * chosen);
  }

  ON_DEVICE int expert(int i) const { return i * kWarp + lane(); }

  ON_DEVICE void softmax(float (&p)[per_lane]) const {
    float largest = -std::numeric_limits<float>::infinity(), sum = 0;
    for (int i = 0; i < per_lane; ++i)
      if (expert(i) < num_experts && !(p[i] <= largest)) largest = p[i];
    largest = warp_max(largest);
    for (int i = 0; i < per_lane; ++i)
      if (expert(i) < num_experts) sum += p[i] = exp_f32(p[i] - largest);
    sum = warp_sum(sum);
    for (int i = 0; i < per_lane; ++i) p[i] = divide(p[i], sum);
  }

  // The best that is left, `chosen` times; each is entered by a lane, which divides it by the sum
  // of all at the end.
  ON_DEVICE void choose(const float (&p)[per_lane], int64_t out) const {
    uint32_t ranks[per_lane];  // 0: taken, or none
    for (int i = 0; i < per_lane; ++i) {
      ranks[i] = 0;
      if (expert(i) < num_experts) ranks[i] = rank_of(bias ? p[i] + bias[expert(i)] : p[i]);
    }
    float sum = 0;
    for (int j = 0; j < chosen; ++j) {
      uint64_t best = 0;  // a rank, and below it the larger, the lower the expert
      for (int i = 0; i < per_lane; ++i) {
        const uint64_t own = uint64_t{ranks[i]} << 32 | ~static_cast<uint32_t>(expert(i));
        best = own > best ? own : best;
      }
      const auto winner = static_cast<int>(~static_cast<uint32_t>(warp_max(best)));
      float probability = 0;
      for (int i = 0; i < per_lane; ++i)
        if (i == winner / kWarp) {
          probability = p[i];
          if (expert(i) == winner) ranks[i] = 0;
        }
      probability = shuffle(probability, winner % kWarp);
      sum += probability;
      if (lane() == j % kWarp) {
        experts.set(out + j, winner);
        weights.set(out + j, probability);
      }
    }
    const float by = sum > norm_min ? sum : norm_min;
    for (int j = lane(); j < chosen; j += kWarp) weights.set(out + j, divide(weights[out + j], by));
  }
};

}  // namespace

namespace kernels {

void route(Stream& stream, const RouteArgs& args) {
  const int64_t tokens = args.logits.shape[0];
  const auto num_experts = static_cast<int>(args.logits.shape[1]);
  const auto run = [&]<int per_lane>() {
    using Kernel = Route<per_lane>;
    launch(stream, {pieces(tokens, Kernel::kWarps)},
           Kernel{global<float>(args.logits), global<float>(args.correction_bias),
                  global<int32_t>(args.experts), global<float>(args.weights), tokens, num_experts,
                  static_cast<int>(args.experts.shape[1]), args.norm_min});
  };
  if (num_experts <= 2 * kWarp) return run.template operator()<2>();
  if (num_experts <= 4 * kWarp) return run.template operator()<4>();
  CHECK_LE(num_experts, 32 * kWarp);
  run.template operator()<32>();
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
