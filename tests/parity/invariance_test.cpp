// What must be equal bit for bit: the same row in other batches, chunks, blocks, threads and
// instruction sets.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <map>

#include "parity/cases.h"
#include "parity/guarded_tensor.h"
#include "parity/instances.h"
#include "parity/op_runs.h"

namespace erne::parity {
namespace {

std::vector<std::byte> bytes_of(const GuardedTensor& tensor) {
  return {tensor.bytes().begin(), tensor.bytes().end()};
}

// Instances that run here, with 1, 2 and 3 threads (slow ones with 2): all of the same arithmetic
// must agree.
struct Variant {
  std::string name, arithmetic;
  std::unique_ptr<Backend> backend;
  bool has_tiles;
};
std::vector<Variant> variants() {
  std::vector<Variant> all;
  for (const Instance& instance : instances())
    for (int threads : {1, 2, 3})
      if (instance.available() && (threads == 2 || !instance.is_slow))
        all.push_back({std::string(instance.name) + " with " + std::to_string(threads) + " threads",
                       instance.arithmetic, instance.make(threads), instance.has_tiles});
  return all;
}

// Runs `op` on every variant and compares its outputs with those of the first of its arithmetic.
template <class Op>
void expect_same_bits(std::vector<Variant>& all, const Op& op) {
  struct First {
    std::vector<std::byte> outputs;
    std::string name;
  };
  std::map<std::string, First> firsts;
  for (Variant& variant : all) {
    const std::vector<std::byte> outputs = op(*variant.backend);
    const First& first =
        firsts.try_emplace(variant.arithmetic, outputs, variant.name).first->second;
    EXPECT_TRUE(outputs == first.outputs) << variant.name << " against " << first.name;
  }
}

TEST(SameBits, LinearOnAllVariants) {
  auto all = variants();
  for (const LinearCase& c : linear_cases()) {
    if (c.timed_only || c.unit_order) continue;
    SCOPED_TRACE(case_name(c));
    expect_same_bits(all, [&](Backend& backend) {
      LinearRun run(backend, c);
      run.run(backend);
      return bytes_of(run.y);
    });
  }
}

// "Tiles" of cpu/arithmetic.h for one output, step by step.
float tile_sum(const Bf16* x, const Bf16* w, int64_t in) {
  float y = 0;
  for (int64_t begin = 0; begin < in; begin += 32) {
    float halves[2] = {0, 0};
    for (int64_t k = begin; k < std::min(begin + 32, in); ++k)
      halves[k % 2] = std::fma(to_float(x[k]), to_float(w[k]), halves[k % 2]);
    y += halves[0] + halves[1];
  }
  return y;
}

TEST(SameBits, TilesStepByStep) {
  for (Variant& variant : variants())
    for (const LinearCase& c : linear_cases()) {
      if (!c.unit_order || c.timed_only || c.output != DType::kF32 || !variant.has_tiles) continue;
      LinearRun run(*variant.backend, c);
      run.run(*variant.backend);
      const auto *x = run.x.view().as<Bf16>(), *w = run.w.view().as<Bf16>();
      for (int64_t i = 0; i < c.rows * c.out; ++i)
        ASSERT_EQ(run.y.at(i), tile_sum(x + i / c.out * c.in, w + i % c.out * c.in, c.in))
            << variant.name << ", " << case_name(c) << ", output " << i;
    }
}

TEST(SameBits, NoTilesWhereTheOrderIsNotAllowed) {
  LinearCase c{33, 80, 1030, "bfloat16", DType::kBf16, DType::kF32};
  for (Variant& variant : variants()) {
    LinearRun shared(*variant.backend, c);
    shared.run(*variant.backend);
    LinearRun own(*variant.backend, c);
    own.packed.unit_order = true;
    own.run(*variant.backend);
    EXPECT_EQ(bytes_of(own.y) != bytes_of(shared.y), variant.has_tiles) << variant.name;
  }
}

TEST(SameBits, LinearForAnyNumberOfRows) {
  const LinearCase cases[] = {
      {97, 83, 515, "bfloat16", DType::kBf16, DType::kF32},
      {97, 83, 514, "bfloat16", DType::kBf16, DType::kF32, LinearInput::kAsGiven, false, true},
      {97, 83, 515, "wint8", DType::kBf16, DType::kF32, LinearInput::kInt8},
      {97, 147, 515, "wint4_g64", DType::kBf16, DType::kF32, LinearInput::kInt8},
      {97, 83, 130, "wint4", DType::kBf16, DType::kF32, LinearInput::kAsGiven},
      {97, 83, 260, "block_wise_fp8", DType::kBf16, DType::kF32, LinearInput::kFp8},
      {97, 83, 130, "wint2", DType::kBf16, DType::kF32, LinearInput::kAsGiven},
  };
  for (Variant& variant : variants())
    for (const LinearCase& whole : cases) {
      LinearRun run(*variant.backend, whole);
      run.run(*variant.backend);
      const size_t row_bytes = whole.out * sizeof(float);
      for (int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 33, 96}) {
        const GuardedTensor y(DType::kF32, {rows, whole.out});
        // The last rows, so that none has the place it had.
        const DeviceView x = run.x.on(*variant.backend).rows(whole.rows - rows, rows);
        variant.backend->linear(run.packed, x, y.on(*variant.backend));
        const auto* expected = run.y.bytes().data() + (whole.rows - rows) * row_bytes;
        EXPECT_EQ(std::memcmp(y.bytes().data(), expected, rows * row_bytes), 0)
            << variant.name << ", " << case_name(whole) << ", " << rows << " rows";
      }
    }
}

// Sums of codes at their largest: all weights at one end, all activations at one end.
TEST(SameBits, CodesAtTheirLimits) {
  auto all = variants();
  for (const char* format : {"wint8", "wint4", "wint4_g128"})
    for (double weight : {-1.0, 1.0})
      for (double activation : {-1.0, 1.0}) {
        SCOPED_TRACE(format);
        const LinearCase c{7, 35, 520, format, DType::kF32, DType::kF32, LinearInput::kInt8};
        expect_same_bits(all, [&](Backend& backend) {
          LinearRun run(backend, c);
          for (int64_t i = 0; i < c.out * c.in; ++i) run.w.set(i, weight);
          for (int64_t i = 0; i < c.rows * c.in; ++i) run.x.set(i, activation);
          DeviceBuffer storage;
          run.packed.data = backend.pack(run.w.view(), *run.packed.format, storage).data;
          run.run(backend);
          for (int64_t i = 0; i < c.rows * c.out; ++i)
            EXPECT_NEAR(run.y.at(i), weight * activation * c.in, 0.01 * c.in);
          return bytes_of(run.y);
        });
      }
}

// The same values, and so the same bits, as a plain matrix of the decoded weights.
TEST(SameBits, CodesAsGivenAndDecodedWeights) {
  for (Variant& variant : variants())
    for (const WeightFormat& format : weight_formats()) {
      if (!format.is_quantized()) continue;
      const LinearCase c{9, 70, 300, format.name, DType::kF32, DType::kF32};
      LinearRun run(*variant.backend, c);
      run.run(*variant.backend);
      const reference::Matrix weights = run.weights();
      GuardedTensor decoded(DType::kF32, {c.out, c.in});
      for (int64_t i = 0; i < c.out * c.in; ++i) decoded.set(i, weights.values[i]);
      DeviceBuffer storage;
      const Linear plain =
          variant.backend->pack(decoded.view(), plain_format(DType::kF32), storage);
      const GuardedTensor y(DType::kF32, {c.rows, c.out});
      variant.backend->linear(plain, run.x.on(*variant.backend), y.on(*variant.backend));
      EXPECT_TRUE(bytes_of(y) == bytes_of(run.y)) << variant.name << ", " << format.name;
    }
}

// 127 over the largest of them is infinite: zeros, and no trouble.
TEST(QuantizedLinear, NumbersTooSmallForAScaleCountAsZeros) {
  for (Variant& variant : variants())
    for (double tiny : {0.0, 1e-37, -2e-37}) {
      const LinearCase c{1, 20, 200, "wint4", DType::kF32, DType::kF32, LinearInput::kInt8};
      LinearRun run(*variant.backend, c);
      for (int64_t i = 0; i < c.in; ++i) run.x.set(i, tiny);
      run.run(*variant.backend);
      for (int64_t i = 0; i < c.out; ++i) EXPECT_EQ(run.y.at(i), 0) << variant.name;
    }
}

// Damaged numbers must not turn into sound ones on the way through integers.
TEST(QuantizedLinear, NaNAndInfinityStayVisible) {
  const std::pair<const char*, LinearInput> kinds[] = {{"wint8", LinearInput::kInt8},
                                                       {"block_wise_fp8", LinearInput::kFp8}};
  for (Variant& variant : variants())
    for (const auto& [format, input] : kinds)
      for (double damage : {std::nan(""), HUGE_VAL}) {
        const LinearCase c{2, 20, 200, format, DType::kF32, DType::kF32, input};
        LinearRun run(*variant.backend, c);
        run.x.set(5, damage);
        run.run(*variant.backend);
        EXPECT_TRUE(std::isnan(run.y.at(0))) << variant.name;
        EXPECT_TRUE(std::isfinite(run.y.at(c.out))) << variant.name << ": the other row";
      }
}

// A checkpoint's own codes may hold it, too.
TEST(QuantizedLinear, NaNAmongFp8CodesStaysVisible) {
  constexpr int64_t kOut = 20, kIn = 200;
  const WeightFormat& format = *find_weight_format("block_wise_fp8");
  EncodedRows rows(format, kOut, kIn);
  std::ranges::fill(rows.scales, 1.0f);
  rows.codes[3 * kIn + 150] = 0xFF;  // of output 3
  for (Variant& variant : variants()) {
    const DeviceBuffer memory =
        variant.backend->allocate(variant.backend->packed_bytes(format, kOut, kIn));
    Linear w = Linear::at(memory.data(), format, kOut, kIn);
    variant.backend->pack_rows(w, rows, 0);
    for (const LinearInput input : {LinearInput::kAsGiven, LinearInput::kFp8}) {
      w.input = input;
      const GuardedTensor x = random_tensor(DType::kBf16, {1, kIn}, 1);
      const GuardedTensor y(DType::kF32, {1, kOut});
      variant.backend->linear(w, x.on(*variant.backend), y.on(*variant.backend));
      for (int64_t n = 0; n < kOut; ++n)
        EXPECT_EQ(std::isnan(y.at(n)), n == 3) << variant.name << ", output " << n;
    }
  }
}

TEST(SameBits, RowOpsOnAllVariants) {
  auto all = variants();
  for (const RowsCase& c : rows_cases()) {
    if (c.timed_only) continue;
    SCOPED_TRACE(case_name(c));
    expect_same_bits(all, [&](Backend& backend) {
      const auto tensor = [&](uint64_t seed, int64_t width, double scale) {
        return random_tensor(c.activation, {c.rows, width}, seed, scale);
      };
      const GuardedTensor x = tensor(1, c.width, 1), h = tensor(2, c.width, 1);
      const GuardedTensor gate_up = tensor(3, 2 * c.width, 40);
      const GuardedTensor weight = random_tensor(c.activation, {c.width}, 4);
      const GuardedTensor y(c.activation, {c.rows, c.width});
      backend.silu_mul(gate_up.on(backend), y.on(backend));
      backend.add(h.on(backend), y.on(backend));
      backend.add_rms_norm(x.on(backend), h.on(backend), weight.on(backend), 1e-6f, y.on(backend));
      std::vector<std::byte> out = bytes_of(y);
      for (const GuardedTensor* t : {&x, &h})
        out.insert(out.end(), t->bytes().begin(), t->bytes().end());
      return out;
    });
  }
}

TEST(SameBits, RopeOnAllVariants) {
  auto all = variants();
  for (const RopeCase& c : rope_cases()) {
    SCOPED_TRACE(case_name(c));
    expect_same_bits(all, [&](Backend& backend) {
      const int64_t width = (c.heads + 2 * c.kv_heads) * c.head_dim;
      const GuardedTensor x = random_tensor(c.activation, {std::ssize(c.positions), width}, 1);
      const GuardedTensor inv_freq = random_tensor(DType::kF32, {c.head_dim / 2}, 2, 0.5);
      StagedLists lists(backend);
      backend.rope(x.on(backend), lists.indices(c.positions, kMaxPosition), inv_freq.on(backend),
                   c.heads, c.kv_heads);
      return bytes_of(x);
    });
  }
}

TEST(SameBits, AttentionOnAllVariants) {
  auto all = variants();
  for (const AttentionCase& c : attention_cases()) {
    if (c.timed_only) continue;
    SCOPED_TRACE(case_name(c));
    expect_same_bits(all, [&](Backend& backend) {
      AttentionRun run(backend, c);
      run.run(backend);
      return bytes_of(run.out);
    });
  }
}

// A prompt in one piece, in chunks of any size, token by token, and among other sequences. bfloat16
// would hide last bits of all but the smallest sums.
void expect_equal_chunks(Variant& variant, DType kv, DType activation, int head_dim) {
  const AttentionCase c{.heads = 6,
                        .kv_heads = 2,
                        .head_dim = head_dim,
                        .block_tokens = 16,
                        .kv = kv,
                        .activation = activation,
                        .sequences = {{0, 19}, {244, 34}, {490, 30}},
                        .cancels = activation == DType::kBf16};
  AttentionRun run(*variant.backend, c);
  run.run(*variant.backend);
  const size_t row_bytes = run.q_width * dtype_bytes(activation);
  for (int s = 0; s < std::ssize(c.sequences); ++s)
    for (int chunk : {1, 2, 7, 16, 33}) {
      const int tokens = c.sequences[s].num_tokens;
      for (int begin = 0; begin < tokens; begin += chunk) {
        const int end = std::min(begin + chunk, tokens);
        const GuardedTensor part = run.run_part(*variant.backend, s, begin, end);
        const auto* whole = run.out.bytes().data() + (run.rows[s].first_token + begin) * row_bytes;
        EXPECT_EQ(std::memcmp(part.bytes().data(), whole, part.bytes().size()), 0)
            << variant.name << ", " << dtype_name(kv) << ", sequence " << s << ", tokens " << begin
            << " to " << end;
      }
    }
}

TEST(SameBits, AttentionOfChunks) {
  for (Variant& variant : variants())
    for (const DType kv : {DType::kBf16, DType::kI8, DType::kFp8}) {
      expect_equal_chunks(variant, kv, DType::kF32, 32);
      expect_equal_chunks(variant, kv, DType::kBf16, 64);
    }
}

// A device may share out a row's keys otherwise where it has more rows.
TEST(SameBits, AttentionOfOneRowAmongMany) {
  constexpr int kRows = 130;
  const AttentionCase c{.heads = 4,
                        .kv_heads = 1,
                        .head_dim = 64,
                        .block_tokens = 16,
                        .kv = DType::kBf16,
                        .activation = DType::kBf16,
                        .sequences = {{1023, 1}},
                        .cancels = true};
  for (Variant& variant : variants()) {
    AttentionRun run(*variant.backend, c);
    run.run(*variant.backend);
    const GuardedTensor qkv(c.activation, {kRows, run.qkv_width});
    const GuardedTensor out(c.activation, {kRows, run.q_width});
    std::vector<RaggedRow> rows;
    for (int i = 0; i < kRows; ++i) {
      rows.push_back({i, 1, 1023, 0});
      std::memcpy(qkv.view().as<Bf16>() + i * run.qkv_width, run.qkv.bytes().data(),
                  run.qkv.bytes().size());
    }
    StagedLists lists(*variant.backend);
    const StagedBatch batch = lists.batch(rows, run.blocks, kRows, run.kv);
    variant.backend->attention({qkv.on(*variant.backend), run.kv, &batch, out.on(*variant.backend),
                                static_cast<float>(run.scale)});
    const std::vector<std::byte> alone = bytes_of(run.out);
    for (int i = 0; i < kRows; ++i)
      EXPECT_EQ(std::memcmp(out.bytes().data() + i * alone.size(), alone.data(), alone.size()), 0)
          << variant.name << ", row " << i;
  }
}

TEST(SameBits, AttentionForAnyBlockSize) {
  for (Variant& variant : variants())
    for (const DType kv : {DType::kF32, DType::kI8, DType::kFp8}) {
      std::vector<std::byte> first;
      for (int block_tokens : {16, 32, 64, 128, 512}) {
        const AttentionCase c{.heads = 4,
                              .kv_heads = 1,
                              .head_dim = 48,
                              .block_tokens = block_tokens,
                              .kv = kv,
                              .activation = DType::kF32,
                              .sequences = {{601, 3}, {30, 1}}};
        AttentionRun run(*variant.backend, c);
        run.run(*variant.backend);
        if (first.empty()) first = bytes_of(run.out);
        EXPECT_TRUE(bytes_of(run.out) == first)
            << variant.name << ", " << dtype_name(kv) << ", blocks of " << block_tokens;
      }
    }
}

// The mode of the calling thread must not reach the kernels.
TEST(SameBits, WhateverTheCallersRoundingMode) {
  const LinearCase cases[] = {
      {3, 40, 300, "float32", DType::kF32, DType::kF32},
      {3, 40, 300, "wint8", DType::kF32, DType::kF32, LinearInput::kInt8},
  };
  for (Variant& variant : variants())
    for (const LinearCase& c : cases) {
      LinearRun run(*variant.backend, c);
      run.run(*variant.backend);
      const std::vector<std::byte> nearest = bytes_of(run.y);
      std::fesetround(FE_UPWARD);
      run.run(*variant.backend);
      EXPECT_EQ(std::fegetround(), FE_UPWARD) << "the caller gets its own mode back";
      std::fesetround(FE_TONEAREST);
      EXPECT_TRUE(bytes_of(run.y) == nearest) << variant.name << ", " << case_name(c);
    }
}

// Of any size, wherever it lies; what lies beside it stays.
TEST(Copies, BringBackWhatWentOut) {
  constexpr size_t kBeside = 64;
  for (Variant& variant : variants())
    for (const size_t size : {1, 4096, 1'000'003}) {
      std::vector<std::byte> sent(size + 2 * kBeside), got(sent.size());
      for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 7 % 251);
      const DeviceBuffer from = variant.backend->allocate(sent.size());
      const DeviceBuffer to = variant.backend->allocate(sent.size());
      const HostBuffer host = variant.backend->allocate_host(size);
      const std::span bytes(static_cast<std::byte*>(host.data()), size);
      variant.backend->upload(sent, from.span());
      variant.backend->copy_out({from.data() + kBeside, size}, bytes);
      variant.backend->copy_in(bytes, {to.data() + kBeside, size});
      variant.backend->download(to.span(), got);
      std::fill_n(sent.begin(), kBeside, std::byte{0});
      std::fill_n(sent.end() - kBeside, kBeside, std::byte{0});
      EXPECT_TRUE(got == sent) << variant.name << ", " << size << " bytes";
    }
}

}  // namespace
}  // namespace erne::parity
