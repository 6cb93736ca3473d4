#include "cpu/kernels/expert_routing.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "cpu/arithmetic.h"
#include "cpu/machine/row_tasks.h"

namespace erne::cpu {
namespace {

// In place; as arithmetic.h has it for rows.
void softmax(std::span<float> row) {
  float max = -std::numeric_limits<float>::infinity();
  for (const float v : row) max = max_of(max, v);
  float lanes[kLanes] = {};
  for (size_t i = 0; i < row.size(); ++i) {
    row[i] = exp_f32(row[i] - max);
    lanes[i % kLanes] += row[i];
  }
  const float sum = combine_lanes(lanes);
  for (float& v : row) v /= sum;
}

struct Scored {
  float score;
  int32_t expert;

  // Best first, the lower index where scores are equal; a NaN comes last, so this is an order
  // whatever the scores are.
  bool operator<(const Scored& other) const {
    if (score > other.score) return true;
    if (score < other.score) return false;
    const bool nan = score != score, other_nan = other.score != other.score;
    return nan != other_nan ? other_nan : expert < other.expert;
  }
};

void choose(std::span<float> probabilities, const float* bias, float norm_min,
            std::span<Scored> scored, std::span<int32_t> experts, std::span<float> weights) {
  for (size_t e = 0; e < probabilities.size(); ++e)
    scored[e] = {bias ? probabilities[e] + bias[e] : probabilities[e], static_cast<int32_t>(e)};
  std::partial_sort(scored.begin(), scored.begin() + std::ssize(experts), scored.end());
  float sum = 0;
  for (size_t j = 0; j < experts.size(); ++j) {
    experts[j] = scored[j].expert;
    sum += weights[j] = probabilities[experts[j]];
  }
  for (float& weight : weights) weight /= max_of(sum, norm_min);
}

}  // namespace

void choose_experts(const RouteArgs& args, ThreadPool& pool) {
  const int64_t num_experts = args.logits.shape[1], k = args.experts.shape[1];
  const auto* bias = DeviceAccess::pointer<const float>(args.correction_bias.data);
  const auto* logits = DeviceAccess::pointer<const float>(args.logits.data);
  auto* experts = DeviceAccess::pointer<int32_t>(args.experts.data);
  auto* weights = DeviceAccess::pointer<float>(args.weights.data);
  for_rows(pool, args.logits.shape[0], num_experts, [&](int64_t first, int64_t count) {
    std::vector<float> row(num_experts);
    std::vector<Scored> scored(num_experts);
    for (int64_t t = first; t < first + count; ++t) {
      std::copy_n(logits + t * num_experts, num_experts, row.begin());
      softmax(row);
      choose(row, bias, args.norm_min, scored, {experts + t * k, static_cast<size_t>(k)},
             {weights + t * k, static_cast<size_t>(k)});
    }
  });
}

}  // namespace erne::cpu
