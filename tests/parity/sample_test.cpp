// Tokens that back ends draw, against those that the host's sampler draws from the same logits.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/counter_rng.h"
#include "parity/guarded_tensor.h"
#include "parity/instances.h"
#include "parity/staged_lists.h"
#include "sample/sampler.h"

namespace erne::parity {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// What a row's logits are like.
enum class Logits { kFlat, kPeaked, kTied, kEqual, kMasked, kZeros };
constexpr Logits kAllKinds[] = {Logits::kFlat,  Logits::kPeaked, Logits::kTied,
                                Logits::kEqual, Logits::kMasked, Logits::kZeros};

float make_logit(Logits kind, const CounterRng& rng, int64_t i) {
  const auto value = static_cast<float>(rng.uniform(i) * 16 - 8);
  switch (kind) {
    case Logits::kFlat:
      return value / 16;
    case Logits::kPeaked:
      return rng.words(i)[2] % 50 == 0 ? value + 12 : value;
    case Logits::kTied:
      return std::round(value);
    case Logits::kEqual:
      return -3;
    case Logits::kMasked:
      return rng.words(i)[2] % 4 == 0 ? value : -kInf;
    case Logits::kZeros:
      return value > 0 ? 0.0f : -0.0f;
  }
  return 0;
}

std::vector<sched::SamplingParams> all_params() {
  std::vector<sched::SamplingParams> all;
  for (const float temperature : {0.0f, 0.7f, 1.3f})
    for (const float top_p : {1.0f, 0.9f, 0.3f, 0.0f})
      for (const int top_k : {0, 1, 3, 40, 700})
        for (const float min_p : {0.0f, 0.02f, 1.0f}) {
          if (temperature != 0.7f && (top_k == 40 || min_p == 1 || top_p == 0.3f)) continue;
          sched::SamplingParams params;
          params.temperature = temperature;
          params.top_p = top_p;
          params.top_k = top_k;
          params.min_p = min_p;
          params.seed = all.size();
          params.stream = 3;
          all.push_back(params);
        }
  return all;
}

class Sampled {
 public:
  Sampled(Backend& backend, int64_t rows, int64_t stride, int64_t num_tokens)
      : backend_(backend),
        num_tokens_(num_tokens),
        logits_(DType::kF32, {rows, stride}),
        tokens_(DType::kI32, {rows}) {}

  std::span<float> row(int64_t r) {
    const std::span values(logits_.view().as<float>(), logits_.view().elements());
    return values.subspan(r * logits_.view().shape[1], num_tokens_);
  }
  std::vector<int32_t> draw(std::span<const TokenDraw> draws) {
    StagedLists lists(backend_);
    backend_.sample({.logits = logits_.on(backend_),
                     .num_tokens = num_tokens_,
                     .draws = lists.draws(draws),
                     .tokens = tokens_.on(backend_)});
    const auto* const tokens = tokens_.view().as<const int32_t>();
    EXPECT_TRUE(tokens_.guards_intact() && logits_.guards_intact());
    return {tokens, tokens + tokens_.view().elements()};
  }

 private:
  Backend& backend_;
  int64_t num_tokens_;
  GuardedTensor logits_, tokens_;
};

sched::TokenId drawn_by_host(std::span<const float> logits, const sched::SamplingParams& params,
                             int position) {
  std::vector<float> scratch(logits.begin(), logits.end());
  const std::vector<sched::TokenId> history(position, 0);
  const sched::StopRules stop;
  return sample::choose_token(scratch, sample::find_best(scratch), {params, stop, {history, 1}});
}

template <class Test>
void on_every_instance_that_samples(const Test& test) {
  for (const Instance& instance : instances()) {
    if (!instance.available()) continue;
    const std::unique_ptr<Backend> backend = instance.make(kThreads);
    if (!backend->samples()) continue;
    SCOPED_TRACE(instance.name);
    test(*backend);
  }
}

// Rows of several kinds beside each other, each drawn from in its own way; in pieces and parts of
// them, in rows that begin anywhere, with padding of NaN behind the vocabulary.
TEST(Sample, DrawsTheTokensOfTheHost) {
  struct Size {
    int64_t num_tokens, stride;
  };
  on_every_instance_that_samples([](Backend& backend) {
    const std::vector<sched::SamplingParams> params = all_params();
    for (const auto& [num_tokens, stride] : {Size{1, 1}, {37, 37}, {2047, 2052}, {5003, 5003}})
      for (const Logits kind : kAllKinds) {
        const auto num_rows =
            static_cast<int64_t>(num_tokens > 1000 ? params.size() / 3 : params.size());
        Sampled sampled(backend, num_rows, stride, num_tokens);
        std::vector<TokenDraw> draws;
        const auto of_row = [&](int64_t r) { return params[r * 7 % params.size()]; };
        for (int64_t r = 0; r < num_rows; ++r) {
          const CounterRng rng(r, static_cast<uint64_t>(num_tokens));
          for (int64_t i = 0; i < num_tokens; ++i) sampled.row(r)[i] = make_logit(kind, rng, i);
          draws.push_back(sample::token_draw(of_row(r), 5));
        }
        const std::vector<int32_t> tokens = sampled.draw(draws);
        for (int64_t r = 0; r < num_rows; ++r) {
          const sched::SamplingParams& p = of_row(r);
          ASSERT_EQ(tokens[r], drawn_by_host(sampled.row(r), p, 5))
              << num_tokens << " tokens of kind " << static_cast<int>(kind) << ", temperature "
              << p.temperature << ", top_p " << p.top_p << ", top_k " << p.top_k << ", min_p "
              << p.min_p;
        }
      }
  });
}

// As many tokens as there may be, all as likely: no count and no sum overflows.
TEST(Sample, DrawsFromTheLargestVocabulary) {
  on_every_instance_that_samples([](Backend& backend) {
    Sampled sampled(backend, 3, kMaxDrawTokens, kMaxDrawTokens);
    sched::SamplingParams params;
    std::vector<TokenDraw> draws;
    for (int64_t r = 0; r < 3; ++r) {
      for (float& logit : sampled.row(r)) logit = 2;
      params.seed = r + 5;
      params.top_p = r == 1 ? 0.99f : 1;
      params.top_k = r == 2 ? 120'000 : 0;
      draws.push_back(sample::token_draw(params, 1));
    }
    const std::vector<int32_t> tokens = sampled.draw(draws);
    for (int64_t r = 0; r < 3; ++r) {
      params.seed = r + 5;
      params.top_p = r == 1 ? 0.99f : 1;
      params.top_k = r == 2 ? 120'000 : 0;
      EXPECT_EQ(tokens[r], drawn_by_host(sampled.row(r), params, 1)) << r;
    }
  });
}

TEST(Sample, TellsOfNanAndTakesTheBestWhereNothingCanBeDrawn) {
  on_every_instance_that_samples([](Backend& backend) {
    constexpr int64_t kTokens = 2100;
    Sampled sampled(backend, 6, kTokens, kTokens);
    for (int64_t r = 0; r < 6; ++r)
      for (float& logit : sampled.row(r)) logit = r == 5 ? -kInf : 1;
    sampled.row(1)[0] = std::nanf("");
    sampled.row(2)[kTokens - 1] = -std::nanf("");
    sampled.row(2)[4] = kInf;
    sampled.row(3)[2070] = sampled.row(3)[2071] = kInf;
    for (int64_t i = 0; i < kTokens; ++i)
      if (i != 2049) sampled.row(4)[i] = -kInf;
    for (const float temperature : {0.0f, 1.0f}) {
      sched::SamplingParams params;
      params.temperature = temperature;
      params.top_p = 0.9f;
      const std::vector<TokenDraw> draws(6, sample::token_draw(params, 1));
      const std::vector<int32_t> tokens = sampled.draw(draws);
      EXPECT_EQ(tokens[0], drawn_by_host(sampled.row(0), params, 1));
      EXPECT_EQ(tokens[1], -1);
      EXPECT_EQ(tokens[2], -1);
      for (const int r : {3, 4, 5})
        EXPECT_EQ(tokens[r], drawn_by_host(sampled.row(r), params, 1)) << r;
      EXPECT_EQ(tokens[3], 2070);
      EXPECT_EQ(tokens[4], 2049);
      EXPECT_EQ(tokens[5], 0);
    }
  });
}

}  // namespace
}  // namespace erne::parity
