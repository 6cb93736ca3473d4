// Each op case on each instance against the reference in double. The bounds are derived, not
// guessed: the length of each accumulation times the rounding of its type times the norms that go
// in (Higham, Accuracy and Stability of Numerical Algorithms, chapter 3), plus one rounding of the
// activation type wherever the op's contract has one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

#include "parity/cases.h"
#include "parity/guarded_tensor.h"
#include "parity/instances.h"
#include "parity/op_runs.h"
#include "reference/reference_ops.h"

namespace erne::parity {
namespace {

using reference::Matrix;

constexpr double kU = 0x1p-24;  // unit roundoff of float32
// Relative error of the back end's own exp, as its header promises.
constexpr double kExpError = 0x1p-22;

Matrix absolute(Matrix m) {
  for (double& v : m.values) v = std::abs(v);
  return m;
}

// Bound for values whose exact result is `exact`: `relative` of it for the way there, and one
// rounding to the output's type of what arrives.
Matrix relative_bound(const Matrix& exact, double relative, DType type) {
  Matrix bound = absolute(exact);
  for (double& v : bound.values) v *= relative + unit_roundoff(type) * (1 + relative);
  return bound;
}

template <class Case>
class OpTest : public testing::TestWithParam<std::tuple<size_t, size_t>> {
 protected:
  void SetUp() override {
    if (!instance().available()) GTEST_SKIP() << instance().name << " does not run on this machine";
    backend_ = instance().make(kThreads);
  }
  static const Instance& instance() { return instances()[std::get<0>(GetParam())]; }
  std::unique_ptr<Backend> backend_;
};

template <class Case>
std::vector<size_t> tested(std::span<const Case> cases) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < cases.size(); ++i) {
    if constexpr (requires { cases[i].timed_only; })
      if (cases[i].timed_only) continue;
    indices.push_back(i);
  }
  return indices;
}

std::vector<size_t> instance_indices() {
  std::vector<size_t> indices(instances().size());
  std::iota(indices.begin(), indices.end(), size_t{0});
  return indices;
}

#define PARITY_SUITE(Suite, Case, cases)                                                           \
  class Suite : public OpTest<Case> {                                                              \
   protected:                                                                                      \
    static const Case& c() {                                                                       \
      return cases()[std::get<1>(GetParam())];                                                     \
    }                                                                                              \
  };                                                                                               \
  INSTANTIATE_TEST_SUITE_P(                                                                        \
      Parity, Suite,                                                                               \
      testing::Combine(testing::ValuesIn(instance_indices()), testing::ValuesIn(tested(cases()))), \
      [](const auto& info) {                                                                       \
        return std::string(instances()[std::get<0>(info.param)].name) + "_" +                      \
               case_name(cases()[std::get<1>(info.param)]);                                        \
      })

PARITY_SUITE(LinearParity, LinearCase, linear_cases);
PARITY_SUITE(RowsParity, RowsCase, rows_cases);
PARITY_SUITE(RopeParity, RopeCase, rope_cases);
PARITY_SUITE(AttentionParity, AttentionCase, attention_cases);

// An fma chain of n terms in any order: |error| <= n u / (1 - n u) * sum |w x|.
double chain_error(int64_t n) {
  const double nu = static_cast<double>(n) * kU;
  return nu / (1 - nu);
}

TEST_P(LinearParity, EqualsDouble) {
  LinearRun run(*backend_, c());
  run.run(*backend_);
  const Matrix w = run.weights(), x = run.inputs();
  const Matrix expected = reference::linear(w, x);
  Matrix bound = reference::linear(absolute(w), absolute(x));
  // No result passes through more additions than there are terms. With 8-bit numbers it is one
  // addition per group and the product of two scales, after a sum inside the group: of integers
  // exact, of fp8 a chain.
  const int64_t group = run.packed.format->input_group();
  const int64_t in_groups = c().in / group + 3;
  int64_t roundings = c().in;
  if (c().input == LinearInput::kInt8) roundings = in_groups;
  if (c().input == LinearInput::kFp8) roundings = in_groups + std::min(group, c().in);
  const double accumulation = chain_error(roundings);
  for (size_t i = 0; i < bound.values.size(); ++i)
    bound.values[i] = bound.values[i] * accumulation * (1 + unit_roundoff(c().output)) +
                      std::abs(expected.values[i]) * unit_roundoff(c().output);
  expect_within(run.y, expected, bound);
}

TEST_P(LinearParity, CountsItsWork) {
  LinearRun run(*backend_, c());
  run.run(*backend_);
  EXPECT_EQ(backend_->counters().flops, 2 * c().rows * c().out * c().in);
  EXPECT_EQ(backend_->counters().bytes,
            run.packed.format->bytes(c().out, c().in) +
                static_cast<int64_t>(run.x.bytes().size() + run.y.bytes().size()));
}

TEST_P(LinearParity, EmbedReadsThePackedTable) {
  LinearRun run(*backend_, c());
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < c().rows; ++t) ids.push_back(static_cast<int32_t>((t * 7 + 3) % c().out));
  const GuardedTensor x(c().activation, {c().rows, c().in});
  StagedLists lists(*backend_);
  backend_->embed(run.packed, lists.indices(ids, c().out), x.on(*backend_));
  const Matrix expected = reference::gather(run.weights(), ids);
  const bool exact = c().activation == DType::kF32 || run.packed.data.dtype == DType::kBf16;
  expect_within(x, expected, relative_bound(expected, 0, exact ? c().activation : DType::kBf16));
}

// Relative error of x * rsqrt(mean(x^2) + eps) * weight before the last rounding: the squares are
// positive, so their sum's relative error is at most one rounding per term; the root halves it;
// then quotient, root, reciprocal and product, and the rounding in front of the weight.
double norm_error(const RowsCase& c) {
  return chain_error(c.width + 1) / 2 + chain_error(6) + unit_roundoff(c.activation);
}

TEST_P(RowsParity, RmsNorm) {
  const auto& [rows, width, type, timed] = c();
  const GuardedTensor x = random_tensor(type, {rows, width}, 1, 3);
  const GuardedTensor weight = random_tensor(type, {width}, 2), y(type, {rows, width});
  backend_->rms_norm(x.on(*backend_), weight.on(*backend_), 1e-5f, y.on(*backend_));
  const Matrix expected = reference::rms_norm(x.matrix(), weight.matrix().values, 1e-5f);
  expect_within(y, expected, relative_bound(expected, norm_error(c()), type));
  backend_->rms_norm(x.on(*backend_), weight.on(*backend_), 1e-5f, x.on(*backend_));
  EXPECT_TRUE(std::ranges::equal(x.bytes(), y.bytes())) << "in place";
}

TEST_P(RowsParity, AddRmsNorm) {
  const auto& [rows, width, type, timed] = c();
  const GuardedTensor x = random_tensor(type, {rows, width}, 1);
  const GuardedTensor h = random_tensor(type, {rows, width}, 2), y(type, {rows, width});
  const GuardedTensor weight = random_tensor(type, {width}, 3);
  const Matrix sum = reference::add(x.matrix(), h.matrix());
  backend_->add_rms_norm(x.on(*backend_), h.on(*backend_), weight.on(*backend_), 1e-5f,
                         y.on(*backend_));
  expect_within(x, sum, relative_bound(sum, kU, type));
  const Matrix expected = reference::rms_norm(x.matrix(), weight.matrix().values, 1e-5f);
  expect_within(y, expected, relative_bound(expected, norm_error(c()), type));
}

TEST_P(RowsParity, Add) {
  const auto& [rows, width, type, timed] = c();
  const GuardedTensor x = random_tensor(type, {rows, width}, 1);
  const GuardedTensor h = random_tensor(type, {rows, width}, 2);
  const Matrix expected = reference::add(x.matrix(), h.matrix());
  backend_->add(x.on(*backend_), h.on(*backend_));
  expect_within(x, expected, relative_bound(expected, kU, type));
}

TEST_P(RowsParity, SiluMul) {
  const auto& [rows, width, type, timed] = c();
  const GuardedTensor gate_up = random_tensor(type, {rows, 2 * width}, 1, 20);
  const GuardedTensor y(type, {rows, width});
  backend_->silu_mul(gate_up.on(*backend_), y.on(*backend_));
  const Matrix in = gate_up.matrix(), expected = reference::silu_mul(in);
  // exp, sum, quotient, product, and the rounding of silu.
  Matrix bound = relative_bound(expected, kExpError + chain_error(4) + unit_roundoff(type), type);
  // exp stops growing at e^88: below, silu is g / e^88 and not yet smaller.
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < width; ++i)
      bound(r, i) += std::abs(in(r, i) * in(r, width + i)) * 2 * std::exp(-88.0);
  expect_within(y, expected, bound);
}

TEST_P(RowsParity, Gather) {
  const auto& [rows, width, type, timed] = c();
  const GuardedTensor x = random_tensor(type, {rows, width}, 1);
  std::vector<int32_t> chosen;
  for (int64_t r = rows; r-- > 0; r -= r % 3) chosen.push_back(static_cast<int32_t>(r));
  const GuardedTensor y(type, {std::ssize(chosen), width});
  StagedLists lists(*backend_);
  backend_->gather(x.on(*backend_), lists.indices(chosen, rows), y.on(*backend_));
  const Matrix expected = reference::gather(x.matrix(), chosen);
  expect_within(y, expected, Matrix(expected.rows, expected.cols));
}

TEST_P(RopeParity, EqualsDouble) {
  const int num_heads = c().heads + c().kv_heads;
  const int64_t rows = std::ssize(c().positions), width = (num_heads + c().kv_heads) * c().head_dim;
  const GuardedTensor qkv = random_tensor(c().activation, {rows, width}, 1);
  const GuardedTensor inv_freq(DType::kF32, {c().head_dim / 2});
  for (int i = 0; i < c().head_dim / 2; ++i)
    inv_freq.view().as<float>()[i] =
        static_cast<float>(std::pow(500000.0, -2.0 * i / c().head_dim));
  const Matrix in = qkv.matrix();
  const std::span frequencies(inv_freq.view().as<const float>(), c().head_dim / 2);
  const Matrix expected = reference::rope(in, c().positions, frequencies, num_heads);
  // a cos +- b sin: the tables, the product and the fma round; then the output. What is not
  // rotated must not change at all.
  Matrix bound(rows, width);
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t i = 0; i < num_heads * c().head_dim; ++i)
      bound(t, i) = (std::abs(in(t, i)) + std::abs(in(t, i ^ 1))) * chain_error(3) +
                    std::abs(expected(t, i)) * unit_roundoff(c().activation) * (1 + 4 * kU);
  StagedLists lists(*backend_);
  backend_->rope(qkv.on(*backend_), lists.indices(c().positions, kMaxPosition),
                 inv_freq.on(*backend_), c().heads, c().kv_heads);
  expect_within(qkv, expected, bound);
}

// Rows from first_row on and columns [first, first + count) of a matrix.
Matrix cut(const Matrix& m, int64_t first_row, int64_t first, int64_t count) {
  Matrix out(m.rows - first_row, count);
  for (int64_t r = 0; r < out.rows; ++r)
    for (int64_t i = 0; i < count; ++i) out(r, i) = m(first_row + r, first + i);
  return out;
}

Matrix in_cache(Matrix m, DType type, int head_dim) {
  if (type == DType::kI8) return reference::int8_rows(m, head_dim);
  if (type == DType::kFp8) return reference::fp8_rows(m, head_dim, 0);
  if (type == DType::kBf16)
    for (double& v : m.values) v = to_float(to_bf16(static_cast<float>(v)));
  return m;
}

// Likewise where components have scales.
Matrix in_fixed_cache(Matrix m, DType type, const float* largest) {
  const float limit = largest_kv_number(type);
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t i = 0; i < m.cols; ++i) {
      const float scaled = to_float(to_bf16(static_cast<float>(m(r, i)) * (limit / largest[i])));
      const float cut = std::clamp(scaled, -limit, limit);
      const double q = type == DType::kI8 ? std::nearbyint(cut) : reference::nearest_fp8(cut);
      m(r, i) = q * double{largest[i] / limit};
    }
  return m;
}

double norm_of(const Matrix& m, int64_t row, int64_t first, int64_t count) {
  double squares = 0;
  for (int64_t i = first; i < first + count; ++i) squares += m(row, i) * m(row, i);
  return std::sqrt(squares);
}

// One sequence of a case as the op should see it.
struct ExactSequence {
  ExactSequence(const AttentionRun& run, int s)
      : c(run.c),
        scale(run.scale),
        context(c.sequences[s].context),
        q(cut(run.sequences[s].matrix(), context, 0, run.q_width)),
        k(stored(run, s, run.q_width, 0)),
        v(stored(run, s, run.q_width + run.kv_width, run.kv_width)) {}

  // Columns [first, first + K) of the inputs as the cache holds them.
  // Where components have scales, run.largest has their sizes from first_size on.
  Matrix stored(const AttentionRun& run, int s, int64_t first, int64_t first_size) const {
    const Matrix given = cut(run.sequences[s].matrix(), 0, first, run.kv_width);
    return c.fixed ? in_fixed_cache(given, c.kv, run.largest.data() + first_size)
                   : in_cache(given, c.kv, c.head_dim);
  }

  Matrix attend(const Matrix& values) const {
    return reference::attention(q, k, values, c.head_dim, scale);
  }
  // Relative error of one head of one token, against the sum of p |v|. A score's error is at most
  // d = chain_error(D + 2) * scale * |q| |k| (Cauchy and Schwarz over the sum of |q k|; two
  // roundings for the scales; where components have scales, a query times one is rounded to its
  // type); it moves numerator and denominator by d each. exp adds its own error
  // and the rounding of an argument of at most 88, to both; so does a probability that is rounded
  // to bfloat16 (at most twice the error of one: the weights of both move); the sum and the output
  // pass at most one rounding per key, and the output one more for the scale of an int8 value; each
  // merged segment costs two exps, three roundings and a product on both sides.
  double error(int64_t t, int64_t head, const Instance& instance) const {
    const int64_t kv_first = head / (c.heads / c.kv_heads) * c.head_dim;
    const int64_t keys = context + t + 1, segments = keys / 256 + 1;
    double longest = 0;
    for (int64_t j = 0; j < keys; ++j)
      longest = std::max(longest, norm_of(k, j, kv_first, c.head_dim));
    const double rounding = chain_error(c.head_dim + 2) +
                            (c.fixed ? unit_roundoff(c.activation) * (1 + 2 * kU) + 2 * kU : 0);
    const double score = rounding * scale * longest * norm_of(q, t, head * c.head_dim, c.head_dim);
    // The matrix units of cuda multiply 8-bit values by bfloat16 probabilities, too.
    const bool rounds_8_bits = std::string_view(instance.arithmetic) != "cpu";
    const bool rounded = c.activation == DType::kBf16 &&
                         (c.kv == DType::kBf16 || (rounds_8_bits && dtype_bytes(c.kv) == 1));
    const double probability = kExpError + (rounded ? unit_roundoff(DType::kBf16) : 0);
    return 2 * (score + 88 * kU + probability) + chain_error(2 * keys + 1 + (c.fixed ? 2 : 0)) +
           2 * static_cast<double>(segments) * (2 * kExpError + 4 * kU);
  }

  // What small numbers lose besides, whatever their relative error: exp is 0 below -87, for each
  // key once in its segment and once in each merge, and a product that would be denormal is 0.
  double underflow(int64_t t) const {
    const auto keys = static_cast<double>(context + t + 1), segments = keys / 256 + 1;
    double largest = 0;
    for (const double value : v.values) largest = std::max(largest, std::abs(value));
    return keys * (segments + 2) * std::exp(-87.0) * largest;
  }

  const AttentionCase& c;
  double scale;
  int64_t context;
  Matrix q, k, v;
};

TEST_P(AttentionParity, EqualsDouble) {
  AttentionRun run(*backend_, c());
  run.run(*backend_);
  Matrix expected(run.out.view().shape[0], run.q_width), bound = expected;
  for (size_t s = 0; s < c().sequences.size(); ++s) {
    const ExactSequence sequence(run, static_cast<int>(s));
    const Matrix exact = sequence.attend(sequence.v);
    const Matrix magnitude = sequence.attend(absolute(sequence.v));
    for (int64_t t = 0; t < exact.rows; ++t)
      for (int64_t i = 0; i < exact.cols; ++i) {
        const int64_t row = run.rows[s].first_token + t;
        expected(row, i) = exact(t, i);
        bound(row, i) = magnitude(t, i);
      }
    for (int64_t t = 0; t < exact.rows; ++t)
      for (int64_t head = 0; head < c().heads; ++head) {
        const double relative = sequence.error(t, head, instance()), lost = sequence.underflow(t);
        double* at = &bound(run.rows[s].first_token + t, head * c().head_dim);
        for (int d = 0; d < c().head_dim; ++d)
          at[d] = at[d] * relative + lost +
                  std::abs(exact(t, head * c().head_dim + d)) * unit_roundoff(c().activation) *
                      (1 + relative);
      }
  }
  expect_within(run.out, expected, bound);
}

TEST_P(AttentionParity, SlotMinusOneStoresNothing) {
  AttentionRun run(*backend_, c());
  std::vector<std::byte> before(run.memory.bytes()), after(run.memory.bytes());
  backend_->download(run.memory.span(), before);
  // The first token goes where it already is, the others nowhere.
  std::vector<int32_t> slots(run.qkv.view().shape[0], -1);
  const int context = c().sequences[0].context;
  slots[0] = run.blocks[context / c().block_tokens] * c().block_tokens + context % c().block_tokens;
  backend_->kv_write({run.qkv.on(*backend_), run.kv, run.lists.slots(slots, run.kv)});
  backend_->download(run.memory.span(), after);
  EXPECT_TRUE(before == after);
}

// One pass or two, the same bits: of the rotated heads and of the cache.
TEST_P(AttentionParity, RopeWithTheWriteIsRopeAndThenTheWrite) {
  const auto bytes_after = [&](bool together) {
    AttentionRun run(*backend_, c());
    const auto tokens = static_cast<int>(run.qkv.view().shape[0]);
    std::vector<int32_t> slots, positions;
    for (int t = 0; t < tokens; ++t) {
      slots.push_back(t % 3 == 2 ? -1 : run.kv.num_blocks * c().block_tokens - 1 - t);
      positions.push_back(1000 * t + 7);
    }
    std::vector<float> frequencies;
    for (int i = 0; i < c().head_dim / 2; ++i)
      frequencies.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / c().head_dim)));
    const DeviceView inv_freq = run.lists.floats(frequencies);
    const KvWriteArgs args{run.qkv.on(*backend_), run.kv, run.lists.slots(slots, run.kv)};
    const StagedIndices staged = run.lists.indices(positions, kMaxPosition);
    if (together) {
      backend_->rope_kv_write(args, staged, inv_freq);
    } else {
      backend_->rope(args.qkv, staged, inv_freq, c().heads, c().kv_heads);
      backend_->kv_write(args);
    }
    std::vector<std::byte> bytes(run.memory.bytes());
    backend_->download(run.memory.span(), bytes);
    const auto qkv = run.qkv.bytes();
    bytes.insert(bytes.end(), qkv.begin(), qkv.end());
    return bytes;
  };
  EXPECT_TRUE(bytes_after(true) == bytes_after(false));
}

// A cache of integers has no NaN of its own; a key that was none shows all the same.
TEST(Int8Kv, NotANumberShows) {
  const AttentionCase own{4, 2, 32, 16, DType::kI8, DType::kF32, {{0, 4}}};
  AttentionCase fixed = own;
  fixed.fixed = true;
  for (const Instance& instance : instances()) {
    if (!instance.available()) continue;
    const auto backend = instance.make(kThreads);
    for (const auto& [c, bad] : {std::pair(own, std::nan("")),
                                 {own, HUGE_VAL},
                                 {fixed, std::nan("")},
                                 {fixed, HUGE_VAL}}) {
      AttentionRun run(*backend, c);
      const int64_t key = 2 * run.qkv_width + run.q_width + 5;  // of token 2, kv head 0
      run.qkv.set(key, bad);
      const int32_t first = run.blocks[0] * c.block_tokens;
      const int32_t slots[] = {first, first + 1, first + 2, first + 3};
      backend->kv_write({run.qkv.on(*backend), run.kv, run.lists.slots(slots, run.kv)});
      run.run(*backend);
      for (int64_t token = 0; token < 4; ++token)
        EXPECT_EQ(std::isnan(run.out.at(token * run.q_width)), token >= 2)
            << instance.name << ", token " << token;
    }
  }
}

}  // namespace
}  // namespace erne::parity
