// What tests/parity does not see: names, packing between types, refusals. The ops are tested there.
#include "cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "backend/readback.h"

namespace erne::cpu {
namespace {

TEST(CpuIsa, TheBestIsTheLastThatTheMachineHas) {
  CpuIsa best = CpuIsa::kReference;
  for (const CpuIsa isa : kCpuIsas)
    if (cpu_supports(isa)) best = isa;
  EXPECT_EQ(best_cpu_isa(), best);
}

TEST(CpuBackend, SaysItsName) {
  EXPECT_STREQ(make_cpu_backend(CpuIsa::kReference, 1)->name(), "cpu-reference");
}

// 20 rows are one panel and a part of another; 3 columns are an odd number of pairs.
TEST(Pack, ConvertsBetweenTypesAndReadsBack) {
  const auto backend = make_cpu_backend(CpuIsa::kReference, 2);
  std::vector<float> wide(20 * 3);
  std::vector<Bf16> narrow(wide.size());
  for (size_t i = 0; i < wide.size(); ++i) {
    wide[i] = 1.0f + static_cast<float>(i) / 512;  // odd i lie between two bfloat16
    narrow[i] = to_bf16(wide[i]);
  }
  const std::vector<int32_t> ids = {19, 0, 7, 15, 16};
  for (DType from : {DType::kF32, DType::kBf16})
    for (DType stored : {DType::kF32, DType::kBf16}) {
      void* data = from == DType::kF32 ? static_cast<void*>(wide.data()) : narrow.data();
      DeviceBuffer storage;
      const Linear table = backend->pack({data, from, {20, 3}}, plain_format(stored), storage);
      EXPECT_EQ(table.format->stored, stored);
      const DeviceBuffer id_memory = backend->allocate(sizeof(int32_t) * 5);
      const DeviceBuffer x_memory = backend->allocate(sizeof(float) * 5 * 3);
      const DeviceView room{id_memory.data(), DType::kI32, {5}};
      const DeviceView embedded{x_memory.data(), DType::kF32, {5, 3}};
      backend->embed(table, stage_indices(*backend, "ids", ids, 20, room), embedded);
      Readback readback(*backend);
      const std::span<float> x = readback.read<float>(embedded);
      const bool exact = from == DType::kF32 && stored == DType::kF32;
      for (size_t t = 0; t < ids.size(); ++t)
        for (int k = 0; k < 3; ++k) {
          const size_t at = ids[t] * 3 + k;
          EXPECT_EQ(x[t * 3 + k], exact ? wide[at] : to_float(narrow[at]));
        }
    }
}

TEST(Pack, RunsOfRowsMakeTheBytesOfTheWhole) {
  const auto backend = make_cpu_backend(CpuIsa::kReference, 2);
  const int64_t out = 2 * kPackRows + 20, in = 160;
  std::vector<float> values(out * in);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7919 % 1009) - 500;
  for (const WeightFormat& format : weight_formats()) {
    DeviceBuffer storage;
    backend->pack({values.data(), DType::kF32, {out, in}}, format, storage);
    const DeviceBuffer pieces = backend->allocate(backend->packed_bytes(format, out, in));
    ASSERT_EQ(pieces.bytes(), storage.bytes()) << format.name;
    const Linear w = Linear::at(pieces.data(), format, out, in);
    for (int64_t first = 0; first < out; first += kPackRows) {
      const int64_t count = std::min(kPackRows, out - first);
      backend->pack_rows(w, {values.data() + first * in, DType::kF32, {count, in}}, first);
    }
    Readback in_pieces(*backend), whole(*backend);
    EXPECT_TRUE(std::ranges::equal(in_pieces.read(pieces.span()), whole.read(storage.span())))
        << format.name;
  }
}

TEST(CpuBackendDeathTest, BlocksMustHoldWholePanels) {
  const auto backend = make_cpu_backend(CpuIsa::kReference, 1);
  const DeviceBuffer memory = backend->allocate(4096 * sizeof(float));
  const KvLayerView layer{.data = memory.data(),
                          .block_stride_bytes = 4096,
                          .num_blocks = 1,
                          .block_tokens = 24,
                          .kv_heads = 1,
                          .head_dim = 16};
  EXPECT_EQ(backend->limits().block_tokens_multiple, 16);
  const StagedSlots slots{{memory.data(), DType::kI32, {1}}, 24, 1};
  EXPECT_DEATH(backend->kv_write({{memory.data(), DType::kF32, {1, 48}}, layer, slots}),
               "block_tokens % kPanel");
}

}  // namespace
}  // namespace erne::cpu
