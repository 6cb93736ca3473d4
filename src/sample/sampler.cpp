#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
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
bool has_penalties(const SamplingParams& params, const StopRules& stop) {
  return !params.logit_bias.empty() || stop.min_new_tokens > 0 || counts_tokens(params) ||
         !params.bad_words.empty();
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

// The softmax of a vocabulary, and its cuts. Weights are not normalised: the best has 1.
class Distribution {
 public:
  Distribution(std::span<const float> logits, float best, const SamplingParams& params)
      : logits_(logits), params_(params), best_(best), scale_(1.0f / params.temperature) {}

  TokenId draw(double uniform) const {
    const bool is_cut = params_.top_k > 0 || params_.min_p > 0 || params_.top_p < 1.0f;
    return is_cut ? draw_candidate(uniform) : draw_any(uniform);
  }

 private:
  // The candidates in best-first order, with their weights.
  struct Candidates {
    std::vector<TokenId> ids;
    std::vector<double> weights;
  };

  double weight_of(TokenId id) const { return std::exp((double{logits_[id]} - best_) * scale_); }
  // The logit that has this weight or, for all roundings, a little less; at most the best.
  float logit_of(double weight) const {
    const double logit = best_ + (std::log(weight) - 1e-5) / scale_;
    return std::min(best_, static_cast<float>(logit - std::abs(logit) * 1e-6));
  }
  std::vector<double> sums_of_pieces() const {
    std::vector<double> sums;
    Weights weights;
    for (size_t i = 0; i < logits_.size(); i += kPiece) {
      weigh(piece_at(logits_, i), best_, scale_, weights);
      sums.push_back(weights.sum);
    }
    return sums;
  }
  double total() const {
    const std::vector<double> sums = sums_of_pieces();
    return std::accumulate(sums.begin(), sums.end(), 0.0);
  }

  // By the sums of the pieces, then inside one.
  TokenId draw_any(double uniform) const {
    const std::vector<double> sums = sums_of_pieces();
    double target = uniform * std::accumulate(sums.begin(), sums.end(), 0.0);
    size_t piece = 0, last = 0;  // last: that has any weight, should rounding leave target beyond
    for (size_t i = 0; i < sums.size(); ++i)
      if (sums[i] > 0) last = i;
    for (; piece < last && target >= sums[piece]; ++piece) target -= sums[piece];
    Weights weights;
    weigh(piece_at(logits_, piece * kPiece), best_, scale_, weights);
    const size_t begin = piece * kPiece, count = piece_at(logits_, begin).size();
    double mass = 0;
    size_t drawn = 0;
    for (size_t i = 0; i < count; ++i) {
      if (weights.of[i] == 0) continue;
      drawn = i;
      mass += weights.of[i];
      if (target < mass) break;
    }
    return static_cast<TokenId>(begin + drawn);
  }

  // The logit below which none can be a candidate. At least k logits are as large as the k-th
  // largest of the pieces' largest. And tokens lighter than (1 - top_p) / V of the total are
  // lighter than 1 - top_p together, so the others reach top_p.
  float lowest_candidate(double total) const {
    if (params_.min_p > 0) return logit_of(params_.min_p);
    if (params_.top_k <= 0)
      return logit_of((1 - params_.top_p) * total / static_cast<double>(logits_.size()));
    std::vector<float> largest;
    for (size_t i = 0; i < logits_.size(); i += kPiece)
      largest.push_back(largest_of(piece_at(logits_, i)).value);
    const auto k = static_cast<size_t>(params_.top_k);
    if (k > largest.size()) return std::numeric_limits<float>::lowest();
    std::nth_element(largest.begin(), largest.begin() + (k - 1), largest.end(), std::greater<>());
    return largest[k - 1];
  }

  // Cut by min_p, then by top_k, then by top_p of what is left. Orders only as much as the cuts
  // leave: sorted prefixes of doubling length, until top_p's mass is reached.
  Candidates candidates() const {
    double total = params_.min_p > 0 || params_.top_k > 0 ? 0 : this->total();
    const float lowest = lowest_candidate(total);
    Candidates out;
    double passing = 0;
    for (TokenId id = 0; id < static_cast<TokenId>(logits_.size()); ++id) {
      if (!(logits_[id] >= lowest)) continue;  // NaN, too
      if (params_.min_p > 0) {
        const double weight = weight_of(id);
        if (weight < params_.min_p) continue;
        passing += weight;
      }
      out.ids.push_back(id);
    }
    if (params_.min_p > 0) total = passing;
    const Better better{logits_};
    const auto weigh_until = [&](size_t end) {
      for (size_t i = out.weights.size(); i < end; ++i)
        out.weights.push_back(weight_of(out.ids[i]));
    };
    if (params_.top_k > 0) {
      const size_t k = std::min<size_t>(params_.top_k, out.ids.size());
      std::partial_sort(out.ids.begin(), out.ids.begin() + k, out.ids.end(), better);
      out.ids.resize(k);
      weigh_until(k);
      total = std::accumulate(out.weights.begin(), out.weights.end(), 0.0);
    } else if (params_.top_p >= 1.0f) {
      weigh_until(out.ids.size());  // no cut left: any fixed order will do, and that of ids is free
      return out;
    }
    keep_top_p(out, total, better, weigh_until);
    return out;
  }

  void keep_top_p(Candidates& out, double total, const Better& better,
                  const auto& weigh_until) const {
    double mass = 0;
    for (size_t kept = 0; kept < out.ids.size(); ++kept) {
      const size_t sorted = out.weights.size();
      if (kept == sorted) {
        const size_t next = std::min(out.ids.size(), std::max<size_t>(64, 4 * sorted));
        std::partial_sort(out.ids.begin() + kept, out.ids.begin() + next, out.ids.end(), better);
        weigh_until(next);
      }
      mass += out.weights[kept];
      if (mass >= params_.top_p * total) {
        out.ids.resize(kept + 1);
        break;
      }
    }
    out.weights.resize(out.ids.size());
  }

  TokenId draw_candidate(double uniform) const {
    const Candidates found = candidates();
    const double target =
        uniform * std::accumulate(found.weights.begin(), found.weights.end(), 0.0);
    double mass = 0;
    for (size_t i = 0; i < found.ids.size(); ++i) {
      mass += found.weights[i];
      if (target < mass) return found.ids[i];
    }
    return found.ids.back();  // rounding left the target just beyond the last sum
  }

  std::span<const float> logits_;
  const SamplingParams& params_;
  float best_, scale_;
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
  return !draw.allowed.empty() || has_penalties(draw.params, draw.stop);
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
  if (has_penalties(draw.params, draw.stop)) {
    apply_penalties(logits, draw);
    best = find_best(logits);
  }
  if (!(best.logit > kMasked)) return allowed.token;
  const SamplingParams& params = draw.params;
  if (params.temperature == 0 || std::isinf(best.logit)) return best.token;
  const double uniform = CounterRng(params.seed, params.stream).uniform(draw.history.size());
  return Distribution(logits, best.logit, params).draw(uniform);
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
