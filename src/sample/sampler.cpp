#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <numeric>

#include "base/check.h"
#include "base/counter_rng.h"
#include "sample/lanes.h"

namespace erne::sample {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

// Best first: the higher logit, then the lower id.
struct Better {
  std::span<const float> logits;
  bool operator()(TokenId a, TokenId b) const {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  }
};

std::span<const float> piece_at(std::span<const float> logits, size_t begin) {
  return logits.subspan(begin, std::min<size_t>(kPiece, logits.size() - begin));
}

void mask(std::span<float> logits, std::span<const TokenId> ids) {
  for (TokenId id : ids)
    if (id >= 0 && id < static_cast<TokenId>(logits.size())) logits[id] = kMasked;
}

// Tokens beyond the last word are forbidden, too.
void keep_allowed(std::span<float> logits, std::span<const uint32_t> allowed) {
  constexpr size_t kBits = 32;
  for (size_t word = 0; word * kBits < logits.size(); ++word) {
    const uint32_t bits = word < allowed.size() ? allowed[word] : 0;
    if (bits == ~uint32_t{0}) continue;
    const size_t end = std::min((word + 1) * kBits, logits.size());
    for (size_t id = word * kBits; id < end; ++id)
      if ((bits >> (id % kBits) & 1) == 0) logits[id] = kMasked;
  }
}

void apply_counted_penalties(std::span<float> logits, const SamplingParams& params,
                             const TokenCounts& counts) {
  for (const TokenCounts::Entry& entry : counts.entries()) {
    if (entry.token >= static_cast<TokenId>(logits.size())) continue;  // padding of a vocabulary
    float& logit = logits[entry.token];
    if (params.repetition_penalty != 1.0f && entry.in_prompt + entry.in_output > 0)
      logit = logit < 0 ? logit * params.repetition_penalty : logit / params.repetition_penalty;
    if (entry.in_output > 0)
      logit -= entry.in_output * params.frequency_penalty + params.presence_penalty;
  }
}

// Forbids the last token of every bad word whose other tokens the output just ended with.
void mask_bad_words(std::span<float> logits, const SamplingParams& params, const History& history) {
  for (const std::vector<TokenId>& word : params.bad_words) {
    const int head = static_cast<int>(word.size()) - 1;
    if (head > history.generated()) continue;
    const int begin = history.size() - head;
    bool ends_with_head = true;
    for (int i = 0; i < head; ++i) ends_with_head &= history[begin + i] == word[i];
    if (ends_with_head) mask(logits, std::span(word).last(1));
  }
}

// Whether apply_penalties() may change anything.
bool has_penalties(const Draw& draw) {
  const SamplingParams& params = draw.params;
  return !params.logit_bias.empty() || draw.history.generated() < draw.stop.min_new_tokens ||
         counts_tokens(params) || !params.bad_words.empty();
}

void apply_penalties(std::span<float> logits, const Draw& draw) {
  const SamplingParams& params = draw.params;
  const StopRules& stop = draw.stop;
  for (const auto& [id, bias] : params.logit_bias)
    if (id < static_cast<TokenId>(logits.size())) logits[id] += bias;
  if (draw.history.generated() < stop.min_new_tokens) {
    mask(logits, stop.eos_ids);
    mask(logits, stop.stop_token_ids);
  }
  if (counts_tokens(params)) {
    CHECK(draw.counts != nullptr);
    apply_counted_penalties(logits, params, *draw.counts);
  }
  mask_bad_words(logits, params, draw.history);
}

// A token and its distance in one number: in the order in which cuts keep them.
using Candidate = uint64_t;
int32_t distance_of(Candidate candidate) {
  return static_cast<int32_t>(candidate >> 32);
}
uint64_t weight_of(Candidate candidate) {
  return weight_at(distance_of(candidate));
}
TokenId id_of(Candidate candidate) {
  return static_cast<TokenId>(candidate & 0xFFFFFFFF);
}

// The softmax of a vocabulary, and its cuts, as backend/token_draw.h defines them.
class Distribution {
 public:
  Distribution(std::span<const float> logits, float best, const TokenDraw& draw)
      : logits_(logits), best_(best), draw_(draw) {}

  TokenId drawn() const {
    const bool is_cut = draw_.top_k < std::ssize(logits_) || draw_.end_distance < kFarthest ||
                        draw_.top_p < TokenDraw::kWholePart;
    return is_cut ? drawn_candidate() : drawn_of_all();
  }

 private:
  std::vector<uint64_t> weights_of_pieces() const {
    std::vector<uint64_t> weights;
    for (size_t i = 0; i < logits_.size(); i += kPiece)
      weights.push_back(sample::weight_of(piece_at(logits_, i), best_, draw_.units_per_logit));
    return weights;
  }

  // By the weights of the pieces, then inside one.
  TokenId drawn_of_all() const {
    const std::vector<uint64_t> weights = weights_of_pieces();
    uint64_t target =
        part_of(std::accumulate(weights.begin(), weights.end(), uint64_t{0}), draw_.random);
    size_t piece = 0;
    for (; target >= weights[piece]; ++piece) target -= weights[piece];
    for (size_t id = piece * kPiece;; ++id) {
      const int32_t distance = token_distance(best_, logits_[id], draw_.units_per_logit);
      const uint64_t weight = distance < kFarthest ? weight_at(distance) : 0;
      if (target < weight) return static_cast<TokenId>(id);
      target -= weight;
    }
  }

  // Where only tokens of less than (1 - top_p) / V of the total are: those are less than 1 - top_p
  // together, so the others reach top_p.
  int32_t end_of_top_p(uint64_t total) const {
    const double share = static_cast<double>(total) / static_cast<double>(logits_.size()) *
                         static_cast<double>(TokenDraw::kWholePart - draw_.top_p) /
                         static_cast<double>(TokenDraw::kWholePart);
    constexpr int32_t kMargin = 64;  // more than weights are in error by
    const double distance = (kWeightBits - std::log2(share)) * kUnitsPerBit + kMargin;
    return static_cast<int32_t>(std::clamp(distance, 1.0, double{kFarthest}));
  }
  // Where none of the k best is: at least k logits are as large as the k-th largest of the pieces'
  // largest.
  int32_t end_of_top_k() const {
    std::vector<float> largest;
    for (size_t i = 0; i < logits_.size(); i += kPiece)
      largest.push_back(largest_of(piece_at(logits_, i)).value);
    if (draw_.top_k > std::ssize(largest)) return kFarthest;
    const auto kth = largest.begin() + (draw_.top_k - 1);
    std::nth_element(largest.begin(), kth, largest.end(), std::greater<>());
    return std::min(token_distance(best_, *kth, draw_.units_per_logit) + 1, kFarthest);
  }

  // By id.
  std::vector<Candidate> nearer_than(int32_t end) const {
    std::vector<Candidate> found;
    int32_t distances[kPiece];
    for (size_t begin = 0; begin < logits_.size(); begin += kPiece) {
      const std::span<const float> piece = piece_at(logits_, begin);
      measure(piece, best_, draw_.units_per_logit, distances);
      for (size_t i = 0; i < piece.size(); ++i)
        if (distances[i] < end) found.push_back(Candidate(distances[i]) << 32 | (begin + i));
    }
    return found;
  }

  TokenId drawn_candidate() const {
    const bool has_top_k = draw_.top_k < std::ssize(logits_);
    uint64_t total = 0;
    int32_t end = draw_.end_distance;
    if (has_top_k) {
      end = std::min(end, end_of_top_k());
    } else if (end == kFarthest) {
      const std::vector<uint64_t> weights = weights_of_pieces();
      total = std::accumulate(weights.begin(), weights.end(), total);
      end = end_of_top_p(total);
    }
    const std::vector<Candidate> candidates = nearer_than(end);
    std::vector<Candidate> left = candidates;
    if (draw_.top_k < std::ssize(left)) {
      std::ranges::nth_element(left, left.begin() + draw_.top_k);
      left.resize(draw_.top_k);
    }
    if (total == 0)
      for (const Candidate candidate : left) total += weight_of(candidate);
    Candidate last = *std::ranges::max_element(left);
    if (draw_.top_p < TokenDraw::kWholePart) last = keep_top_p(left, total);
    uint64_t target = part_of(total, draw_.random);
    for (const Candidate candidate : candidates) {
      if (candidate > last) continue;
      const uint64_t weight = weight_of(candidate);
      if (target < weight) return id_of(candidate);
      target -= weight;
    }
    CHECK(false);
  }

  // The last that is kept. `total` becomes the weight of those. Orders only as many as are kept, in
  // runs of growing length.
  Candidate keep_top_p(std::vector<Candidate>& left, uint64_t& total) const {
    const uint64_t wanted = wanted_weight(draw_, total);
    total = 0;
    size_t sorted = 0, kept = 0;
    do {
      if (kept == sorted) {
        CHECK_LT(sorted, left.size());
        sorted = std::min(left.size(), std::max<size_t>(64, 4 * sorted));
        std::partial_sort(left.begin() + kept, left.begin() + sorted, left.end());
      }
      total += weight_of(left[kept++]);
    } while (total < wanted);
    return left[kept - 1];
  }

  std::span<const float> logits_;
  float best_;
  const TokenDraw& draw_;
};

// The best of all, best first.
std::vector<TokenId> best_tokens(std::span<const float> logits, size_t count) {
  const Better better{logits};
  std::vector<TokenId> kept;  // a heap: the worst of them is its front
  if (count == 0) return kept;
  for (size_t begin = 0; begin < logits.size(); begin += kPiece) {
    const std::span<const float> piece = piece_at(logits, begin);
    if (kept.size() == count && !(largest_of(piece).value > logits[kept.front()])) continue;
    for (size_t i = begin; i < begin + piece.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      if (kept.size() == count) {
        if (!better(id, kept.front())) continue;
        std::pop_heap(kept.begin(), kept.end(), better);
        kept.pop_back();
      }
      kept.push_back(id);
      std::push_heap(kept.begin(), kept.end(), better);
    }
  }
  std::sort_heap(kept.begin(), kept.end(), better);
  return kept;
}

}  // namespace

Best find_best(std::span<const float> logits) {
  Best best{0, kMasked, false};
  size_t begin = 0;  // of the first piece that holds it
  for (size_t i = 0; i < logits.size(); i += kPiece) {
    const Largest largest = largest_of(piece_at(logits, i));
    best.has_nan |= largest.has_nan;
    if (largest.value > best.logit) {
      best.logit = largest.value;
      begin = i;
    }
  }
  if (best.logit > kMasked) {
    const auto found = std::find(logits.begin() + begin, logits.end(), best.logit);
    best.token = static_cast<TokenId>(found - logits.begin());
  }
  return best;
}

bool counts_tokens(const SamplingParams& params) {
  return params.repetition_penalty != 1.0f || params.frequency_penalty != 0 ||
         params.presence_penalty != 0;
}

bool changes_logits(const Draw& draw) {
  return !draw.allowed.empty() || has_penalties(draw);
}

TokenDraw token_draw(const SamplingParams& params, int position) {
  const double units = kUnitsPerBit / std::numbers::ln2 / params.temperature;
  const bool is_greedy = params.temperature == 0 || params.top_k == 1;
  const double farthest = params.min_p > 0 ? -std::log2(params.min_p) * kUnitsPerBit : kFarthest;
  const double top_p = std::clamp(params.top_p, 0.0f, 1.0f) * 0x1p63;
  const auto words = CounterRng(params.seed, params.stream).words(position);
  return {.units_per_logit = is_greedy ? 0.0f : static_cast<float>(units),
          .end_distance = static_cast<int32_t>(std::clamp(farthest + 1, 1.0, double{kFarthest})),
          .top_k = params.top_k > 0 ? params.top_k : kMaxDrawTokens,
          .top_p = static_cast<uint64_t>(top_p),
          .random = uint64_t{words[0]} << 32 | words[1]};
}

TokenId choose_token(std::span<float> logits, const Best& all, const Draw& draw) {
  CHECK(!logits.empty());
  Best allowed = all;
  if (!draw.allowed.empty()) {
    keep_allowed(logits, draw.allowed);
    allowed = find_best(logits);
    if (!(allowed.logit > kMasked)) return all.token;
  }
  Best best = allowed;
  if (has_penalties(draw)) {
    apply_penalties(logits, draw);
    best = find_best(logits);
  }
  if (!(best.logit > kMasked)) return allowed.token;
  const TokenDraw token = token_draw(draw.params, draw.history.size());
  if (token.units_per_logit == 0 || std::isinf(best.logit)) return best.token;
  return Distribution(logits, best.logit, token).drawn();
}

PositionLogprobs logprobs(std::span<const float> logits, const Best& best, TokenId chosen,
                          int num_top) {
  CHECK_LT(chosen, static_cast<TokenId>(logits.size()));
  const double log_sum = best.logit + std::log(sum_of_exponentials(logits, best.logit));
  const auto entry = [&](TokenId id) {
    return sched::TokenLogprob{id, static_cast<float>(logits[id] - log_sum)};
  };
  PositionLogprobs out{entry(chosen), {}};
  const size_t count = std::min(logits.size(), static_cast<size_t>(std::max(num_top, 0)));
  for (TokenId id : best_tokens(logits, count)) out.top.push_back(entry(id));
  return out;
}

}  // namespace erne::sample
