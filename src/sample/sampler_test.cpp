#include "sample/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>

#include "base/counter_rng.h"

namespace erne::sample {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Case {
  std::vector<float> logits = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f};
  SamplingParams params;
  StopRules stop;
  std::vector<TokenId> tokens = {4};
  int prompt_tokens = 1;

  std::vector<uint32_t> allowed;  // empty: all
  int accepted = 0;               // of the tokens, those that the present step has added

  TokenId run() const {
    std::vector<float> scratch = logits;
    const auto earlier = std::span(tokens).first(tokens.size() - accepted);
    TokenCounts counts(earlier.first(prompt_tokens));
    counts.accept(std::span(tokens).subspan(prompt_tokens));
    const History history{earlier, prompt_tokens, std::span(tokens).last(accepted)};
    return choose_token(scratch, find_best(scratch), {params, stop, history, &counts, allowed});
  }
  // Relative frequency of each token over many positions of the same distribution.
  std::map<TokenId, double> frequencies(int draws = 20000) {
    std::map<TokenId, double> out;
    const std::vector<TokenId> history = tokens;
    for (int i = 0; i < draws; ++i) {
      params.seed = i;
      out[run()] += 1.0 / draws;
    }
    return out;
  }
};

Case greedy() {
  Case c;
  c.params.temperature = 0;
  return c;
}

TEST(Sample, GreedyTakesTheLowerIdOfATie) {
  EXPECT_EQ(greedy().run(), 1);
}

// Vocabularies of any length: in whole pieces and lanes, and what is left of them.
TEST(Sample, GreedyFindsTheFirstOfTheLargestWhereverItIs) {
  for (const size_t size : {1, 15, 16, 17, 511, 512, 513, 1040, 103424})
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      Case c = greedy();
      c.tokens = {0};
      c.logits.assign(size, -3.0f);
      c.logits[at] = -2.0f;
      c.logits[size - 1] = -2.0f;  // a tie
      if (at > 0) c.logits[0] = std::nanf("");
      EXPECT_EQ(c.run(), static_cast<TokenId>(at)) << size;
    }
}

TEST(Sample, NumbersThatAreNoneAreNeverDrawn) {
  Case c;
  for (const auto& logits :
       {std::vector{std::nanf(""), 1.0f, std::nanf(""), -kInf}, {1, kInf, 2}}) {
    c.logits = logits;
    const auto drawn = c.frequencies(100);
    ASSERT_EQ(drawn.size(), 1u);
    EXPECT_EQ(drawn.begin()->first, 1);
  }
  c.logits = {std::nanf(""), -kInf};
  EXPECT_EQ(c.run(), 0);
}

TEST(Sample, RepetitionCountsThePromptToo) {
  Case c = greedy();
  c.tokens = {1};
  c.params.repetition_penalty = 1.5f;
  EXPECT_EQ(c.run(), 3);
  c.logits = {-1.0f, -0.9f};  // a negative logit is multiplied
  EXPECT_EQ(c.run(), 0);
}

TEST(Sample, FrequencyAndPresenceCountTheOutputOnly) {
  Case c = greedy();
  c.params.presence_penalty = 0.5f;
  c.tokens = {1, 3};
  c.prompt_tokens = 1;
  EXPECT_EQ(c.run(), 1);
  c.tokens = {4, 1, 1, 3};
  c.params.presence_penalty = 0;
  c.params.frequency_penalty = 0.4f;  // 3 - 0.8 against 3 - 0.4
  EXPECT_EQ(c.run(), 3);
}

TEST(Sample, MinTokensMasksEosAndStopIds) {
  Case c = greedy();
  c.stop.eos_ids = {1};
  c.stop.stop_token_ids = {3};
  c.stop.min_new_tokens = 1;
  EXPECT_EQ(c.run(), 2);
  c.tokens = {4, 0};
  EXPECT_EQ(c.run(), 1);
}

TEST(Sample, BiasAndBadWords) {
  Case c = greedy();
  c.params.logit_bias = {{4, 100.0f}};
  EXPECT_EQ(c.run(), 4);
  c.params.logit_bias = {};
  c.params.bad_words = {{1}, {0, 3}};
  EXPECT_EQ(c.run(), 3);
  c.tokens = {4, 0};  // now "0 3" would be completed
  EXPECT_EQ(c.run(), 2);
  c.tokens = {0};  // in the prompt it is not ours to forbid
  EXPECT_EQ(c.run(), 3);
}

TEST(Sample, MasksThatLeaveNothingAreDropped) {
  Case c = greedy();
  c.params.bad_words = {{0}, {1}, {2}, {3}, {4}};
  EXPECT_EQ(c.run(), 1);
  c.params.temperature = 1;
  EXPECT_EQ(c.run(), 1);
}

TEST(Sample, NanIsNeverChosen) {
  Case c = greedy();
  c.logits = {NAN, 1.0f, NAN};
  EXPECT_EQ(c.run(), 1);
  c.params.temperature = 1;
  EXPECT_EQ(c.run(), 1);
}

TEST(Sample, DrawsFollowTheSoftmax) {
  Case c;
  const auto f = c.frequencies();
  double sum = 0;
  for (float logit : c.logits) sum += std::exp(logit);
  // Five standard deviations of a binomial share over 20,000 draws are below 0.018.
  for (TokenId id = 0; id < 5; ++id) EXPECT_NEAR(f.at(id), std::exp(c.logits[id]) / sum, 0.018);
}

TEST(Sample, TemperatureSharpens) {
  Case c;
  c.logits = {0.0f, 1.0f};
  c.params.temperature = 0.5f;
  EXPECT_NEAR(c.frequencies()[1], 1 / (1 + std::exp(-2.0)), 0.018);
}

TEST(Sample, CutsLeaveTheRightCandidates) {
  Case c;
  c.logits = {std::log(0.4f), std::log(0.3f), std::log(0.2f), std::log(0.1f)};
  auto ids = [&] {
    std::vector<TokenId> out;
    for (const auto& [id, share] : c.frequencies(4000)) out.push_back(id);
    return out;
  };
  c.params.top_p = 0.65f;  // 0.4 is too little, 0.4 + 0.3 is enough
  EXPECT_EQ(ids(), (std::vector<TokenId>{0, 1}));
  c.params.top_p = 1;
  c.params.min_p = 0.45f;  // of the best: 0.18
  EXPECT_EQ(ids(), (std::vector<TokenId>{0, 1, 2}));
  c.params.min_p = 0;
  c.params.top_k = 3;
  EXPECT_EQ(ids(), (std::vector<TokenId>{0, 1, 2}));
  c.params.top_p = 0.7f;  // of the renormalised 0.44, 0.33, 0.22
  EXPECT_EQ(ids(), (std::vector<TokenId>{0, 1}));
  c.params.top_p = 0.0f;  // the best always stays
  EXPECT_EQ(ids(), (std::vector<TokenId>{0}));
}

TEST(Sample, TopPOverALargeVocabularyMatchesAFullSort) {
  Case c;
  c.logits.assign(5000, 0.0f);
  for (int i = 0; i < 5000; ++i) c.logits[i] = static_cast<float>((i * 7919) % 5000) / 1000.0f;
  c.params.top_p = 0.5f;
  std::vector<double> p(c.logits.begin(), c.logits.end());
  std::sort(p.rbegin(), p.rend());
  double total = 0, mass = 0;
  for (double l : p) total += std::exp(l);
  double threshold = 0;
  for (double l : p)
    if ((mass += std::exp(l)) >= 0.5 * total) {
      threshold = l;
      break;
    }
  for (int i = 0; i < 300; ++i) {
    c.params.seed = i;
    EXPECT_GE(c.logits[c.run()], threshold);
  }
}

// The same by the book (backend/token_draw.h): all tokens in order, cut by cut, then by id.
TokenId drawn_by_the_book(const Case& c) {
  const TokenDraw draw = token_draw(c.params, static_cast<int>(c.tokens.size()));
  const auto largest = std::max_element(c.logits.begin(), c.logits.end());
  if (draw.units_per_logit == 0) return static_cast<TokenId>(largest - c.logits.begin());
  const float best = *largest;
  std::vector<std::pair<int32_t, TokenId>> kept;
  for (TokenId id = 0; id < std::ssize(c.logits); ++id) {
    const int32_t distance = token_distance(best, c.logits[id], draw.units_per_logit);
    if (distance < draw.end_distance) kept.emplace_back(distance, id);
  }
  std::ranges::sort(kept);
  kept.resize(std::min<size_t>(draw.top_k, kept.size()));
  const auto weight_of_kept = [&] {
    uint64_t weight = 0;
    for (const auto& [distance, id] : kept) weight += weight_at(distance);
    return weight;
  };
  const uint64_t wanted = wanted_weight(draw, weight_of_kept());
  uint64_t weight = 0;
  for (size_t i = 0; i < kept.size(); ++i)
    if ((weight += weight_at(kept[i].first)) >= wanted) kept.resize(i + 1);
  const uint64_t target = part_of(weight_of_kept(), draw.random);
  std::ranges::sort(kept, {}, &std::pair<int32_t, TokenId>::second);
  weight = 0;
  for (const auto& [distance, id] : kept)
    if (target < (weight += weight_at(distance))) return id;
  return -1;
}

TEST(Sample, DrawsWhatTheBookDraws) {
  for (const size_t size : {3, 100, 3000}) {
    Case c;
    c.logits.clear();
    for (size_t i = 0; i < size; ++i)
      c.logits.push_back(static_cast<float>(CounterRng(1, 0).uniform(i) * 14 - 9));
    c.tokens = {0};
    for (const float temperature : {0.3f, 1.0f})
      for (const float top_p : {1.0f, 0.95f, 0.5f})
        for (const int top_k : {-1, 1, 20, 2000})
          for (const float min_p : {0.0f, 0.05f, 1e-6f})
            for (int seed = 0; seed < 40; ++seed) {
              c.params.temperature = temperature;
              c.params.top_p = top_p;
              c.params.top_k = top_k;
              c.params.min_p = min_p;
              c.params.seed = seed;
              ASSERT_EQ(c.run(), drawn_by_the_book(c))
                  << size << " tokens, temperature " << temperature << ", top_p " << top_p
                  << ", top_k " << top_k << ", min_p " << min_p << ", seed " << seed;
            }
  }
}

// How the book's own numbers come out, against such in double.
TEST(Sample, WeightsArePowersOfTwo) {
  for (int32_t distance = 0; distance < kFarthest; distance += 997) {
    const double exact = std::exp2(kWeightBits - distance / double{kUnitsPerBit});
    EXPECT_NEAR(weight_at(distance), exact, 0.5 + exact * 0x1p-22) << distance;
  }
  EXPECT_EQ(weight_at(0), kWholeWeight);
  EXPECT_EQ(weight_at(kFarthest - 1), 1u);
}

TEST(Sample, ADrawIsWhatItsRequestAsksFor) {
  SamplingParams params;
  params.temperature = 0.5f;
  params.top_p = 0.75f;
  params.min_p = 0.25f;
  params.top_k = 7;
  const TokenDraw draw = token_draw(params, 3);
  EXPECT_EQ(token_distance(2, 1, draw.units_per_logit), 12102203);  // 2^22 * 2 / ln 2
  EXPECT_EQ(draw.end_distance, 2 * kUnitsPerBit + 1);
  EXPECT_EQ(draw.top_k, 7);
  EXPECT_EQ(wanted_weight(draw, 400), 300u);
  EXPECT_EQ(part_of(100, draw.random), static_cast<uint64_t>(CounterRng(0, 0).uniform(3) * 100));
}

// Where every cut is at the best itself, it stays.
TEST(Sample, EqualTokensPassEveryCut) {
  Case c;
  c.params.temperature = 100;
  for (const float logit : {-3e4f, 0.0f, 5.0f}) {
    c.logits.assign(4000, logit);
    for (const auto& [top_p, min_p] : {std::pair(0.0f, 0.0f), {0.5f, 0.0f}, {1.0f, 1.0f}}) {
      c.params.top_p = top_p;
      c.params.min_p = min_p;
      EXPECT_EQ(c.run(), drawn_by_the_book(c)) << logit << ", " << top_p << ", " << min_p;
    }
  }
}

TEST(Sample, TheDrawDependsOnSeedStreamAndPositionOnly) {
  Case c;
  c.logits.assign(1000, 0.0f);
  const TokenId first = c.run();
  EXPECT_EQ(c.run(), first);
  Case seed = c, stream = c, position = c;
  seed.params.seed = 1;
  stream.params.stream = 1;
  position.tokens = {4, 4};
  EXPECT_NE(seed.run(), first);
  EXPECT_NE(stream.run(), first);
  EXPECT_NE(position.run(), first);
}

TEST(Sample, WhatAStepHasAddedIsHistoryLikeAnyOther) {
  for (int accepted = 0; accepted <= 2; ++accepted) {
    Case c = greedy();
    c.tokens = {4, 0, 1};
    c.accepted = accepted;
    c.params.bad_words = {{0, 1, 3}, {1, 2}};
    c.params.repetition_penalty = 4;
    EXPECT_EQ(c.run(), 1) << accepted;  // 2 and 3 are forbidden, and 1 has a quarter of 3 left
    c.params.temperature = 1;
    c.logits.assign(1000, 0.0f);
    Case whole = c;
    whole.accepted = 0;
    EXPECT_EQ(c.run(), whole.run()) << accepted;
  }
}

TEST(Sample, AMaskAllowsWhatItsBitsSay) {
  Case c = greedy();
  c.allowed = {0b10101};
  EXPECT_EQ(c.run(), 2);
  c.params.logit_bias = {{3, 100.0f}, {4, 50.0f}};
  EXPECT_EQ(c.run(), 4);
  c.params.temperature = 1;
  c.params.logit_bias = {};
  for (const auto& [id, share] : c.frequencies(200)) EXPECT_EQ(id % 2, 0);
}

TEST(Sample, AMaskOfManyWordsMayBeShorterThanTheVocabulary) {
  Case c = greedy();
  c.logits.assign(1000, 1.0f);
  c.logits[999] = 2;
  c.allowed.assign(4, 0);
  c.allowed[3] = uint32_t{1} << 31;
  EXPECT_EQ(c.run(), 127);
  c.allowed.assign(32, ~uint32_t{0});
  EXPECT_EQ(c.run(), 999);
}

TEST(Sample, WhereTheOthersLeaveNothingAMaskStillHolds) {
  Case c = greedy();
  c.allowed = {0b10101};
  c.params.bad_words = {{0}, {2}, {4}};
  EXPECT_EQ(c.run(), 2);
  c.allowed = {0b100000};  // of a vocabulary of five
  EXPECT_EQ(c.run(), 1);
}

TEST(Sample, OneLookFindsTheBestAndWhetherThereIsNan) {
  for (const size_t size : {1, 5, 513, 103424}) {
    std::vector<float> logits(size, -1.0f);
    EXPECT_FALSE(find_best(logits).has_nan);
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      std::vector<float> damaged = logits;
      damaged[at] = std::nanf("");
      EXPECT_TRUE(find_best(damaged).has_nan) << at << " of " << size;
    }
  }
}

TEST(TokenCounts, FollowTheOutputForthAndBack) {
  const std::vector<TokenId> prompt = {7, 8, 7}, output = {8, 9, 9};
  TokenCounts counts(prompt);
  const auto text = [&] {
    std::string out;
    for (const TokenCounts::Entry& e : counts.entries())
      out += std::to_string(e.token) + ":" + std::to_string(e.in_prompt) + "+" +
             std::to_string(e.in_output) + " ";
    return out;
  };
  EXPECT_EQ(text(), "7:2+0 8:1+0 ");
  counts.accept(output);
  EXPECT_EQ(text(), "7:2+0 8:1+1 9:0+2 ");
  counts.rollback(2);
  EXPECT_EQ(text(), "7:2+0 8:1+1 9:0+0 ");
  counts.accept(std::vector<TokenId>{7});
  EXPECT_EQ(text(), "7:2+1 8:1+1 9:0+0 ");
  counts.rollback(2);
  EXPECT_EQ(text(), "7:2+0 8:1+0 9:0+0 ");
  EXPECT_DEATH(counts.rollback(1), "num_tokens");
}

TEST(TokenCounts, WhatWasRolledBackIsNotPenalised) {
  const std::vector<TokenId> none, one = {1};
  TokenCounts counts(none);
  counts.accept(one);
  counts.rollback(1);
  std::vector<float> logits = {0, 1, 0.9f};
  SamplingParams params;
  params.temperature = 0;
  params.repetition_penalty = 2;
  params.presence_penalty = 1;
  const StopRules stop;
  EXPECT_EQ(choose_token(logits, find_best(logits), {params, stop, {none, 0}, &counts}), 1);
}

PositionLogprobs logprobs(const std::vector<float>& logits, TokenId chosen, int num_top) {
  return sample::logprobs(logits, find_best(logits), chosen, num_top);
}

// Against all ids in order and sums in double, with many equal logits.
TEST(Logprobs, AreThoseOfAFullSort) {
  for (const size_t size : {1, 7, 512, 513, 5000}) {
    std::vector<float> logits(size);
    for (size_t i = 0; i < size; ++i)
      logits[i] = static_cast<float>(CounterRng(3, 0).words(i)[0] % 97) / 8.0f;
    std::vector<TokenId> order(size);
    for (size_t i = 0; i < size; ++i) order[i] = static_cast<TokenId>(i);
    std::ranges::stable_sort(order, std::greater<>(), [&](TokenId id) { return logits[id]; });
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit});
    for (const int num_top : {0, 1, 20, 1000}) {
      const auto chosen = static_cast<TokenId>(size / 2);
      const PositionLogprobs out = logprobs(logits, chosen, num_top);
      const double exact = logits[chosen] - std::log(sum);
      EXPECT_NEAR(out.chosen.logprob, exact, 0x1p-19 + std::abs(exact) * 0x1p-24);
      ASSERT_EQ(out.top.size(), std::min<size_t>(num_top, size));
      for (size_t i = 0; i < out.top.size(); ++i) EXPECT_EQ(out.top[i].token, order[i]);
    }
  }
}

TEST(Logprobs, AreTheModelsOwn) {
  const std::vector<float> logits = {std::log(0.2f), std::log(0.7f), std::log(0.1f), -kInf};
  const PositionLogprobs out = logprobs(logits, 2, 2);
  EXPECT_NEAR(out.chosen.logprob, std::log(0.1), 1e-6);
  ASSERT_EQ(out.top.size(), 2u);
  EXPECT_EQ(out.top[0].token, 1);
  EXPECT_EQ(out.top[1].token, 0);
  // The best token's two figures are one float: harnesses compare them with ==.
  EXPECT_EQ(logprobs(logits, 1, 1).chosen.logprob, logprobs(logits, 1, 1).top[0].logprob);
  EXPECT_EQ(logprobs(logits, 1, 100).top.size(), 4u);
}

}  // namespace
}  // namespace erne::sample
