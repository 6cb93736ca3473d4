// Mixtures of experts: who computes a token, against double; what comes out, bit for bit against
// the ops that it is made of, which the other suites hold against double.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <string_view>

#include "cpu/kernels/hadamard.h"
#include "parity/cases.h"
#include "parity/guarded_tensor.h"
#include "parity/instances.h"
#include "parity/staged_lists.h"
#include "reference/reference_ops.h"

namespace erne::parity {
namespace {

struct Routed {
  GuardedTensor experts, weights;

  int32_t expert(int64_t token, int64_t j) const {
    return experts.view().as<const int32_t>()[token * experts.view().shape[1] + j];
  }
};

Routed route(Backend& backend, const GuardedTensor& logits, const GuardedTensor* bias, int64_t k,
             float norm_min = 1e-12f) {
  const int64_t tokens = logits.view().shape[0];
  Routed out{{DType::kI32, {tokens, k}}, {DType::kF32, {tokens, k}}};
  backend.route({.logits = logits.on(backend),
                 .correction_bias = bias ? bias->on(backend) : DeviceView(),
                 .experts = out.experts.on(backend),
                 .weights = out.weights.on(backend),
                 .norm_min = norm_min});
  return out;
}

template <class Test>
void on_every_instance(const Test& test) {
  for (const Instance& instance : instances()) {
    if (!instance.available()) continue;
    SCOPED_TRACE(instance.name);
    test(*instance.make(kThreads));
  }
}

TEST(Route, EqualsDouble) {
  constexpr int64_t kTokens = 70, kExperts = 64, kChosen = 6;
  on_every_instance([&](Backend& backend) {
    const GuardedTensor logits = random_tensor(DType::kF32, {kTokens, kExperts}, 1, 3);
    const GuardedTensor bias = random_tensor(DType::kF32, {kExperts}, 2, 0.05);
    const Routed got = route(backend, logits, &bias, kChosen);
    const reference::Matrix p = reference::softmax(logits.matrix());
    for (int64_t t = 0; t < kTokens; ++t) {
      std::vector<int> order(kExperts);
      std::iota(order.begin(), order.end(), 0);
      std::ranges::sort(order, std::greater(), [&](int e) { return p(t, e) + bias.at(e); });
      double sum = 0;
      for (int64_t j = 0; j < kChosen; ++j) sum += p(t, order[j]);
      for (int64_t j = 0; j < kChosen; ++j) {
        EXPECT_EQ(got.expert(t, j), order[j]) << "token " << t << ", choice " << j;
        // exp: 2^-22; sums of 64 and of 6, two divisions: far below 2^-18 together.
        EXPECT_NEAR(got.weights.at(t * kChosen + j) / (p(t, order[j]) / sum), 1, 0x1p-18);
      }
    }
  });
}

TEST(Route, TheLowerIndexIsTakenOfEqualOnes) {
  on_every_instance([](Backend& backend) {
    for (const int64_t num_experts : {5, 70, 200}) {
      GuardedTensor logits(DType::kF32, {1, num_experts});
      for (int64_t e = 0; e < num_experts; ++e) logits.set(e, e == 3 ? 1 : 0);
      const Routed got = route(backend, logits, nullptr, 3);
      EXPECT_EQ(got.expert(0, 0), 3);
      EXPECT_EQ(got.expert(0, 1), 0);
      EXPECT_EQ(got.expert(0, 2), 1);
    }
  });
}

TEST(Route, TheBiasChoosesButDoesNotWeigh) {
  on_every_instance([](Backend& backend) {
    GuardedTensor logits(DType::kF32, {1, 3}), bias(DType::kF32, {3});
    const double z[] = {2, 1, -30}, b[] = {0, 0, 5};
    for (int64_t e = 0; e < 3; ++e) logits.set(e, z[e]), bias.set(e, b[e]);
    const Routed got = route(backend, logits, &bias, 2);
    EXPECT_EQ(got.expert(0, 0), 2);
    EXPECT_EQ(got.expert(0, 1), 0);
    EXPECT_LT(got.weights.at(0), 1e-12);
    EXPECT_NEAR(got.weights.at(1), 1, 1e-6);
    // Where hardly any probability is chosen, weights are not blown up.
    const Routed one = route(backend, logits, &bias, 1, 0.5f);
    EXPECT_LT(one.weights.at(0), 1e-12);
  });
}

TEST(Route, WhatIsNotANumberStaysVisible) {
  on_every_instance([](Backend& backend) {
    GuardedTensor logits(DType::kF32, {2, 4});
    for (int64_t i = 0; i < 8; ++i) logits.set(i, i == 2 ? std::nan("") : 0);
    const Routed got = route(backend, logits, nullptr, 2);
    for (int64_t j = 0; j < 2; ++j) {
      EXPECT_TRUE(got.expert(0, j) >= 0 && got.expert(0, j) < 4);
      EXPECT_TRUE(std::isnan(got.weights.at(j)));
      EXPECT_EQ(got.weights.at(2 + j), 0.5);
    }
  });
}

TEST(Route, AScoreThatIsNotANumberComesLast) {
  on_every_instance([](Backend& backend) {
    GuardedTensor logits(DType::kF32, {1, 4}), bias(DType::kF32, {4});
    for (int64_t e = 0; e < 4; ++e) logits.set(e, 0), bias.set(e, e == 1 ? std::nan("") : -2.0 - e);
    const Routed got = route(backend, logits, &bias, 4);
    for (int64_t j = 0; j < 4; ++j) EXPECT_EQ(got.expert(0, j), (std::array{0, 2, 3, 1}[j]));
  });
}

struct ExpertsCase {
  int64_t tokens, hidden, width, experts, chosen;
  const char* format;
  DType activation;
  LinearInput input;
  bool add;
  int rotation = 0;
  float input_largest = 0;  // of the second expert; the first has none, others have others
};
constexpr ExpertsCase kExpertsCases[] = {
    {1, 48, 24, 5, 2, "bfloat16", kB, kGiven, false},
    {7, 33, 17, 4, 3, "float32", kF, kGiven, true},
    {40, 64, 16, 64, 6, "bfloat16", kF, kGiven, true},
    {9, 80, 40, 3, 1, "wint8", kB, kGiven, false},
    {1, 130, 64, 8, 8, "wint4", kB, kQuant, true},
    {33, 129, 70, 6, 2, "wint8", kF, kQuant, false},
    {12, 130, 70, 5, 3, "block_wise_fp8", kB, LinearInput::kFp8, true},
    {12, 130, 70, 5, 3, "wint2", kF, kGiven, false},
    {150, 64, 48, 2, 2, "wint4_g64", kB, kQuant, true},
    {21, 64, 48, 5, 2, "wint4", kB, kQuant, false, 16, 0.6f},
    {7, 33, 24, 4, 3, "float32", kF, kGiven, true, 8},
    {37, 144, 32, 3, 2, "bfloat16", kB, kGiven, true},
    {14, 300, 16, 2, 1, "block_wise_fp8", kB, kGiven, false},
    {5, 258, 32, 4, 2, "wint2", kB, kGiven, true},
    {3, 48, 48, 3, 2, "wint4_g64", kF, kQuant, false, 16},
    {70, 300, 48, 2, 2, "bfloat16", kB, kGiven, false},
};

// A mixture's weights, and inputs for it.
struct Mixture {
  Mixture(Backend& backend, const ExpertsCase& c)
      : c(c),
        x(random_tensor(c.activation, {c.tokens, c.hidden}, 1)),
        weights(random_tensor(kF, {c.tokens, c.chosen}, 2)),
        experts(DType::kI32, {c.tokens, c.chosen}),
        y(random_tensor(c.activation, {c.tokens, c.hidden}, 3)),
        lists(backend) {
    gate_up = pack(backend, 2 * c.width, c.hidden, 10);
    down = pack(backend, c.hidden, c.width, 100);
    for (int64_t e = 0; e < c.experts && c.input_largest > 0; ++e) {
      gate_up_largest.push_back(c.input_largest * static_cast<float>(e));
      down_largest.push_back(e == 0 ? 0 : c.input_largest / static_cast<float>(e));
    }
    if (c.input_largest > 0) {
      gate_up.input_largest = lists.floats(gate_up_largest);
      down.input_largest = lists.floats(down_largest);
    }
    auto* chosen = experts.view().as<int32_t>();
    for (int64_t t = 0; t < c.tokens; ++t)  // neighbours, from a place that jumps about
      for (int64_t j = 0; j < c.chosen; ++j)
        *chosen++ = static_cast<int32_t>((t * t * 7 + t + j) % c.experts);
  }

  // One matrix of each expert, drawn from seed + e.
  StackedLinear pack(Backend& backend, int64_t out, int64_t in, uint64_t seed) {
    const WeightFormat& format = *find_weight_format(c.format);
    const auto bytes = static_cast<int64_t>(backend.packed_bytes(format, out, in));
    StackedLinear stack = {.format = &format,
                           .count = c.experts,
                           .out = out,
                           .in = in,
                           .stride_bytes = (bytes + 63) / 64 * 64,
                           .input = c.input};
    storage.push_back(backend.allocate(c.experts * stack.stride_bytes));
    stack.data = storage.back().data();
    const double scale = 1 / std::sqrt(static_cast<double>(in));
    const DType stored = format.is_quantized() ? kF : format.stored;
    for (int64_t e = 0; e < c.experts; ++e)
      backend.pack_rows(stack.linear(e), random_tensor(stored, {out, in}, seed + e, scale).view(),
                        0);
    return stack;
  }
  Linear linear(const StackedLinear& stack, const std::vector<float>& largest, int64_t e) const {
    Linear w = stack.linear(e);
    if (!largest.empty()) w.input_largest = largest[e];
    return w;
  }

  // Tokens [first, first + count) into y.
  void run(Backend& backend, int64_t first, int64_t count) const {
    const auto rows = [&](const GuardedTensor& tensor) {
      return tensor.on(backend).rows(first, count);
    };
    backend.experts({.x = rows(x),
                     .experts = rows(experts),
                     .weights = rows(weights),
                     .gate_up = gate_up,
                     .down = down,
                     .y = rows(y),
                     .add = c.add,
                     .rotation = c.rotation});
  }

  // What y must be, of one token, by the ops that the mixture is made of.
  GuardedTensor expected(Backend& backend, int64_t token) const {
    std::vector<float> sum(c.hidden);
    const DeviceView row = x.on(backend).rows(token, 1);
    for (int64_t j = 0; j < c.chosen; ++j) {
      const int32_t e = experts.view().as<const int32_t>()[token * c.chosen + j];
      const GuardedTensor both(c.activation, {1, 2 * c.width}), ffn(c.activation, {1, c.width});
      const GuardedTensor out(kF, {1, c.hidden});
      backend.linear(linear(gate_up, gate_up_largest, e), row, both.on(backend));
      backend.silu_mul(both.on(backend), ffn.on(backend));
      if (c.rotation != 0) cpu::rotate_rows(c.activation, ffn.view().data, 1, c.width, c.rotation);
      backend.linear(linear(down, down_largest, e), ffn.on(backend), out.on(backend));
      const auto weight = static_cast<float>(weights.at(token * c.chosen + j));
      for (int64_t i = 0; i < c.hidden; ++i)
        sum[i] = std::fma(weight, static_cast<float>(out.at(i)), sum[i]);
    }
    GuardedTensor result(c.activation, {1, c.hidden});
    for (int64_t i = 0; i < c.hidden; ++i) {
      const auto held = static_cast<float>(c.add ? y.at(token * c.hidden + i) : 0);
      result.set(i, held + sum[i]);
    }
    return result;
  }

  const ExpertsCase& c;
  GuardedTensor x, weights, experts, y;
  StagedLists lists;
  std::vector<DeviceBuffer> storage;
  StackedLinear gate_up, down;
  std::vector<float> gate_up_largest, down_largest;
};

TEST(Experts, EqualWhatTheyAreMadeOf) {
  on_every_instance([](Backend& backend) {
    for (const ExpertsCase& c : kExpertsCases) {
      SCOPED_TRACE(std::string(c.format) + ", " + std::to_string(c.tokens) + " tokens");
      const Mixture mixture(backend, c);
      std::vector<GuardedTensor> expected;
      for (int64_t t = 0; t < c.tokens; ++t) expected.push_back(mixture.expected(backend, t));
      mixture.run(backend, 0, c.tokens);
      for (int64_t t = 0; t < c.tokens; ++t)
        for (int64_t i = 0; i < c.hidden; ++i)
          ASSERT_EQ(mixture.y.at(t * c.hidden + i), expected[t].at(i)) << "token " << t;
      EXPECT_TRUE(mixture.y.guards_intact());
    }
  });
}

// Tokens in pieces, and on every instruction set with any number of threads.
TEST(Experts, SameBitsInAnyPiecesOnAllInstances) {
  for (const ExpertsCase& c : kExpertsCases) {
    SCOPED_TRACE(std::string(c.format) + ", " + std::to_string(c.tokens) + " tokens");
    std::map<std::string_view, std::vector<std::byte>> first;  // by arithmetic
    for (const Instance& instance : instances())
      for (const int threads : {1, 3}) {
        if (!instance.available() || (instance.is_slow && threads == 1)) continue;
        const auto backend = instance.make(threads);
        for (const int64_t piece : {c.tokens, int64_t{1}, int64_t{4}}) {
          const Mixture mixture(*backend, c);
          for (int64_t t = 0; t < c.tokens; t += piece)
            mixture.run(*backend, t, std::min(piece, c.tokens - t));
          const std::vector<std::byte> bytes(mixture.y.bytes().begin(), mixture.y.bytes().end());
          EXPECT_TRUE(first.try_emplace(instance.arithmetic, bytes).first->second == bytes)
              << instance.name << ", " << threads << " threads, pieces of " << piece;
        }
      }
  }
}

TEST(Experts, CountTheExpertsThatComputed) {
  on_every_instance([](Backend& backend) {
    const Mixture mixture(backend, kExpertsCases[2]);  // 64 experts, 6 of a token
    backend.reset_counters();
    mixture.run(backend, 0, 1);
    const int64_t one = backend.counters().bytes;
    const auto& format = *mixture.gate_up.format;
    EXPECT_EQ(one, 6 * (format.bytes(32, 64) + format.bytes(64, 16)) + 2 * 64 * 4 + 2 * 6 * 4);
  });
}

}  // namespace
}  // namespace erne::parity
