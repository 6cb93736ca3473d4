#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "base/check.h"
#include "base/counter_rng.h"

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

// The largest, and -infinity where there is none; NaN is passed over. In lanes: a vocabulary is
// long and every row of a batch waits for this.
float largest_of(std::span<const float> logits) {
  constexpr size_t kLanes = 16;
  typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
  Lanes most = Lanes{} + kMasked;
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    Lanes next;
    std::memcpy(&next, &logits[i], sizeof(next));
    most = next > most ? next : most;
  }
  float largest = kMasked;
  for (size_t lane = 0; lane < kLanes; ++lane) largest = std::max(largest, most[lane]);
  for (; i < logits.size(); ++i) largest = logits[i] > largest ? logits[i] : largest;
  return largest;
}

// The first of the largest; 0 where there is none.
TokenId argmax(std::span<const float> logits) {
  constexpr size_t kPiece = 512;
  float best = kMasked;
  size_t begin = 0;  // of the first piece that holds it
  for (size_t i = 0; i < logits.size(); i += kPiece) {
    const float largest = largest_of(logits.subspan(i, std::min(kPiece, logits.size() - i)));
    if (largest > best) {
      best = largest;
      begin = i;
    }
  }
  if (best == kMasked) return 0;
  const auto found = std::find(logits.begin() + begin, logits.end(), best);
  return static_cast<TokenId>(found - logits.begin());
}

void mask(std::span<float> logits, std::span<const TokenId> ids) {
  for (TokenId id : ids)
    if (id >= 0 && id < static_cast<TokenId>(logits.size())) logits[id] = kMasked;
}

void apply_repetition(std::span<float> logits, float penalty, const History& history) {
  if (penalty == 1.0f) return;
  std::vector<TokenId> seen(history.tokens.begin(), history.tokens.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (TokenId id : seen) {
    float& logit = logits[id];
    logit = logit < 0 ? logit * penalty : logit / penalty;
  }
}

void apply_frequency(std::span<float> logits, const SamplingParams& params,
                     const History& history) {
  if (params.frequency_penalty == 0 && params.presence_penalty == 0) return;
  std::unordered_map<TokenId, int> counts;
  for (TokenId id : history.tokens.subspan(history.prompt_tokens)) ++counts[id];
  for (const auto& [id, count] : counts)
    logits[id] -= count * params.frequency_penalty + params.presence_penalty;
}

// Forbids the last token of every bad word whose other tokens the output just ended with.
void mask_bad_words(std::span<float> logits, const SamplingParams& params, const History& history) {
  const auto output = history.tokens.subspan(history.prompt_tokens);
  for (const std::vector<TokenId>& word : params.bad_words) {
    const size_t head = word.size() - 1;
    if (head > output.size()) continue;
    if (std::equal(word.begin(), word.end() - 1, output.end() - head))
      mask(logits, std::span(word).last(1));
  }
}

// Whether apply_penalties() may change anything.
bool has_penalties(const SamplingParams& params, const StopRules& stop) {
  return !params.logit_bias.empty() || stop.min_new_tokens > 0 ||
         params.repetition_penalty != 1.0f || params.frequency_penalty != 0 ||
         params.presence_penalty != 0 || !params.bad_words.empty();
}

void apply_penalties(std::span<float> logits, const SamplingParams& params, const StopRules& stop,
                     const History& history) {
  for (const auto& [id, bias] : params.logit_bias)
    if (id < static_cast<TokenId>(logits.size())) logits[id] += bias;
  const int generated = static_cast<int>(history.tokens.size()) - history.prompt_tokens;
  if (generated < stop.min_new_tokens) {
    mask(logits, stop.eos_ids);
    mask(logits, stop.stop_token_ids);
  }
  apply_repetition(logits, params.repetition_penalty, history);
  apply_frequency(logits, params, history);
  mask_bad_words(logits, params, history);
}

// The candidates in best-first order, cut by top_k, min_p and top_p, with their weights.
struct Candidates {
  std::vector<TokenId> ids;
  std::vector<double> weights;  // unnormalised: exp((logit - best) / temperature)
};

// Orders only as much of the vocabulary as the cuts leave: sorted prefixes of doubling length,
// until top_p's mass is reached.
Candidates select(std::span<const float> logits, const SamplingParams& params) {
  const double best = logits[argmax(logits)];
  const double scale = 1.0 / params.temperature;
  const double min_weight = params.min_p;
  Candidates out;
  double total = 0;
  for (TokenId id = 0; id < static_cast<TokenId>(logits.size()); ++id) {
    const double weight = std::exp((logits[id] - best) * scale);
    if (!(weight > 0) || weight < min_weight) continue;  // NaN, too
    out.ids.push_back(id);
    total += weight;
  }
  const Better better{logits};
  auto weigh = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i)
      out.weights.push_back(std::exp((logits[out.ids[i]] - best) * scale));
  };
  if (params.top_k > 0 && static_cast<size_t>(params.top_k) < out.ids.size()) {
    std::partial_sort(out.ids.begin(), out.ids.begin() + params.top_k, out.ids.end(), better);
    out.ids.resize(params.top_k);
    weigh(0, out.ids.size());
    total = std::accumulate(out.weights.begin(), out.weights.end(), 0.0);
  } else if (params.top_p >= 1.0f) {
    weigh(0, out.ids.size());  // no cut left: any fixed order will do, and that of ids is free
    return out;
  }

  double mass = 0;
  size_t sorted = out.weights.size();  // all of them after top_k
  for (size_t kept = 0; kept < out.ids.size(); ++kept) {
    if (kept == sorted) {
      sorted = std::min(out.ids.size(), std::max<size_t>(64, 4 * sorted));
      std::partial_sort(out.ids.begin() + kept, out.ids.begin() + sorted, out.ids.end(), better);
      weigh(kept, sorted);
    }
    mass += out.weights[kept];
    if (mass >= params.top_p * total) {
      out.ids.resize(kept + 1);
      break;
    }
  }
  out.weights.resize(out.ids.size());
  return out;
}

TokenId draw(const Candidates& candidates, const SamplingParams& params, size_t position) {
  const double total = std::accumulate(candidates.weights.begin(), candidates.weights.end(), 0.0);
  const double target = CounterRng(params.seed, params.stream).uniform(position) * total;
  double mass = 0;
  for (size_t i = 0; i < candidates.ids.size(); ++i) {
    mass += candidates.weights[i];
    if (target < mass) return candidates.ids[i];
  }
  return candidates.ids.back();  // rounding left the target just beyond the last sum
}

}  // namespace

TokenId sample(std::span<float> logits, const SamplingParams& params, const StopRules& stop,
               const History& history) {
  CHECK(!logits.empty());
  const TokenId unmasked = argmax(logits);
  TokenId best = unmasked;
  if (has_penalties(params, stop)) {
    apply_penalties(logits, params, stop, history);
    best = argmax(logits);
  }
  if (!(logits[best] > kMasked)) return unmasked;
  if (params.temperature == 0 || std::isinf(logits[best])) return best;
  return draw(select(logits, params), params, history.tokens.size());
}

PositionLogprobs logprobs(std::span<const float> logits, TokenId chosen, int num_top) {
  CHECK_LT(chosen, static_cast<TokenId>(logits.size()));
  const double best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - best);
  const double log_sum = best + std::log(sum);
  auto entry = [&](TokenId id) {
    return sched::TokenLogprob{id, static_cast<float>(logits[id] - log_sum)};
  };

  PositionLogprobs out{entry(chosen), {}};
  const size_t count = std::min(logits.size(), static_cast<size_t>(std::max(num_top, 0)));
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + count, order.end(), Better{logits});
  for (size_t i = 0; i < count; ++i) out.top.push_back(entry(order[i]));
  return out;
}

}  // namespace erne::sample
