#include "weights/checkpoint_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numeric>

#include "weights/checkpoint_fixture.h"

namespace erne::weights {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// A model of one fused linear [3, 2], a square one [2, 2], a head [3, 2], a table and a norm.
std::vector<TensorSpec> small_specs() {
  return {
      {"table", TensorKind::kTable, {3, 2}, {{"model.embed.weight", 3}}},
      {"ab",
       TensorKind::kLinear,
       {3, 2},
       {{"model.a.weight", 1}, {"model.b.weight", 2}},
       "model.ab.weight"},
      {"square", TensorKind::kLinear, {2, 2}, {{"model.square.weight", 2}}},
      {"norm", TensorKind::kVector, {2}, {{"model.norm.weight", 2}}},
      {"head", TensorKind::kHead, {3, 2}, {{"lm_head.weight", 3}}},
  };
}

FixtureTensor f32(const std::string& name, std::vector<int64_t> shape, std::vector<float> values) {
  return {name, "F32", std::move(shape), f32_bytes(values)};
}

std::vector<FixtureTensor> torch_layout() {
  return {f32("model.embed.weight", {3, 2}, {1, 2, 3, 4, 5, 6}),
          f32("model.a.weight", {1, 2}, {10, 11}),
          f32("model.b.weight", {2, 2}, {12, 13, 14, 15}),
          f32("model.square.weight", {2, 2}, {20, 21, 22, 23}),
          f32("model.norm.weight", {2}, {30, 31}),
          f32("lm_head.weight", {3, 2}, {40, 41, 42, 43, 44, 45})};
}

std::vector<FixtureTensor> paddle_layout() {
  return {f32("ernie.embed.weight", {3, 2}, {1, 2, 3, 4, 5, 6}),
          f32("ernie.ab.weight", {2, 3}, {10, 12, 14, 11, 13, 15}),
          f32("ernie.square.weight", {2, 2}, {20, 22, 21, 23}),
          f32("ernie.norm.weight", {2}, {30, 31}),
          f32("lm_head.weight", {2, 3}, {40, 42, 44, 41, 43, 45})};
}

class CheckpointSourceTest : public testing::Test {
 protected:
  Result<CheckpointSource> make(const std::vector<FixtureTensor>& tensors,
                                const std::vector<TensorSpec>& specs) {
    folder_.write("model.safetensors", safetensors_file(tensors));
    Checkpoint checkpoint = TRY(Checkpoint::open(folder_.path()));
    return CheckpointSource::make(std::move(checkpoint), specs);
  }
  // All tensors of the specs, one after the other.
  std::vector<float> read_all(const std::vector<FixtureTensor>& tensors,
                              const std::vector<TensorSpec>& specs = small_specs()) {
    auto source = make(tensors, specs);
    if (!source) {
      ADD_FAILURE() << source.status().message;
      return {};
    }
    std::vector<float> out;
    for (const TensorSpec& spec : specs) {
      std::vector<float> values(spec.shape.elements(), -1.0f);
      EXPECT_TRUE(source->read(spec, {values.data(), DType::kF32, spec.shape}));
      out.insert(out.end(), values.begin(), values.end());
    }
    return out;
  }
  Status refusal(const std::vector<FixtureTensor>& tensors,
                 const std::vector<TensorSpec>& specs = small_specs()) {
    const auto source = make(tensors, specs);
    return source ? Status{Code::kInternal, "accepted"} : source.status();
  }

  TempFolder folder_;
};

const std::vector<float> kAll = {1,  2,  3,  4,  5,  6,  10, 11, 12, 13, 14, 15,
                                 20, 21, 22, 23, 30, 31, 40, 41, 42, 43, 44, 45};

TEST_F(CheckpointSourceTest, both_layouts_give_the_same_tensors) {
  EXPECT_EQ(read_all(torch_layout()), kAll);
  EXPECT_EQ(read_all(paddle_layout()), kAll);
}

TEST_F(CheckpointSourceTest, rows_can_be_read_in_any_runs) {
  const std::vector<TensorSpec> specs = small_specs();
  for (const auto& tensors : {torch_layout(), paddle_layout()}) {
    auto source = make(tensors, specs);
    ASSERT_TRUE(source);
    std::vector<float> ab(6);
    ASSERT_TRUE(source->read(specs[1], {ab.data(), DType::kF32, specs[1].shape}));
    for (int64_t first = 0; first < 3; ++first)
      for (int64_t count = 1; first + count <= 3; ++count) {
        std::vector<float> rows(count * 2);
        ASSERT_TRUE(source->read_rows(specs[1], first, {rows.data(), DType::kF32, {count, 2}}));
        EXPECT_EQ(rows,
                  std::vector<float>(ab.begin() + first * 2, ab.begin() + (first + count) * 2));
      }
  }
}

TEST_F(CheckpointSourceTest, early_torch_files_are_fused_but_not_transposed) {
  auto tensors = torch_layout();
  tensors.erase(tensors.begin() + 1, tensors.begin() + 3);
  tensors.push_back(f32("model.ab.weight", {3, 2}, {10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(read_all(tensors), kAll);
}

TEST_F(CheckpointSourceTest, a_square_linear_follows_its_siblings_then_the_prefix) {
  // Torch's prefix, but transposed linears: the sibling decides.
  auto tensors = torch_layout();
  tensors[1] = f32("model.a.weight", {2, 1}, {10, 11});
  tensors[3] = f32("model.square.weight", {2, 2}, {20, 22, 21, 23});
  EXPECT_EQ(read_all({tensors[0], tensors[1], f32("model.b.weight", {2, 2}, {12, 14, 13, 15}),
                      tensors[3], tensors[4], tensors[5]}),
            kAll);

  const std::vector<TensorSpec> only_square = {small_specs()[2]};
  EXPECT_THAT(read_all({f32("ernie.square.weight", {2, 2}, {20, 22, 21, 23})}, only_square),
              ElementsAre(20, 21, 22, 23));
  EXPECT_THAT(read_all({f32("model.square.weight", {2, 2}, {20, 21, 22, 23})}, only_square),
              ElementsAre(20, 21, 22, 23));
}

TEST_F(CheckpointSourceTest, the_head_may_lie_its_own_way) {
  auto tensors = paddle_layout();
  tensors.back() = torch_layout().back();
  EXPECT_EQ(read_all(tensors), kAll);
}

TEST_F(CheckpointSourceTest, linears_that_contradict_each_other_are_refused) {
  auto specs = small_specs();
  specs.push_back({"more", TensorKind::kLinear, {1, 2}, {{"model.more.weight", 1}}});
  auto tensors = torch_layout();
  tensors.push_back(f32("model.more.weight", {2, 1}, {50, 51}));
  const Status status = refusal(tensors, specs);
  EXPECT_EQ(status.param, "model.more.weight");
  EXPECT_THAT(status.message, AllOf(HasSubstr("found [2, 1]"), HasSubstr("expected [1, 2]"),
                                    HasSubstr("since \"model.a.weight\" is stored [out, in]")));
}

TEST_F(CheckpointSourceTest, bfloat16_is_read_under_both_names_and_at_any_address) {
  const std::vector<TensorSpec> norm = {small_specs()[3]};
  for (const char* type : {"BF16", "U16"}) {
    // One byte in front makes every address odd.
    EXPECT_THAT(read_all({{"pad", "U8", {1}, "x"},
                          {"model.norm.weight", type, {2}, bf16_bytes({1.5f, -2.0f})}},
                         norm),
                ElementsAre(1.5f, -2.0f));
  }
}

TEST_F(CheckpointSourceTest, float32_is_rounded_where_bfloat16_is_asked_for) {
  const std::vector<TensorSpec> norm = {small_specs()[3]};
  auto source = make({f32("model.norm.weight", {2}, {1.0f + 1.0f / 512, 3.0f})}, norm);
  ASSERT_TRUE(source);
  EXPECT_EQ(source->stored_dtype(norm[0]).value(), DType::kF32);
  Bf16 out[2];
  ASSERT_TRUE(source->read(norm[0], {out, DType::kBf16, {2}}));
  EXPECT_EQ(to_float(out[0]), 1.0f);
  EXPECT_EQ(to_float(out[1]), 3.0f);
}

TEST_F(CheckpointSourceTest, a_wrong_shape_names_tensor_found_and_expected) {
  for (size_t i = 0; i < torch_layout().size(); ++i) {
    auto tensors = torch_layout();
    tensors[i].shape.back() += 1;
    const int64_t elements = tensors[i].shape.size() == 1
                                 ? tensors[i].shape[0]
                                 : tensors[i].shape[0] * tensors[i].shape[1];
    tensors[i].bytes = std::string(4 * elements, '\0');
    const Status status = refusal(tensors);
    EXPECT_EQ(status.param, tensors[i].name);
    EXPECT_THAT(status.message, AllOf(HasSubstr("shape: found ["), HasSubstr("expected [")));
  }
  auto tensors = torch_layout();
  tensors[0].shape = {2, 3};  // a table is never transposed
  EXPECT_THAT(refusal(tensors).message, HasSubstr("found [2, 3], expected [3, 2]"));
}

TEST_F(CheckpointSourceTest, a_part_of_a_matrix_may_be_that_of_a_rank) {
  const std::vector<TensorSpec> specs = {
      {"a", TensorKind::kLinear, {8, 3}, {{"model.a.weight", 8}}}};
  EXPECT_THAT(refusal({f32("model.a.weight", {2, 3}, std::vector<float>(6))}, specs).message,
              HasSubstr("cut for 4 tensor-parallel ranks"));
  EXPECT_THAT(refusal({f32("model.a.weight", {7, 3}, std::vector<float>(21))}, specs).message,
              testing::Not(HasSubstr("ranks")));
}

TEST_F(CheckpointSourceTest, a_missing_tensor_is_named_in_both_spellings) {
  auto tensors = torch_layout();
  tensors.erase(tensors.begin() + 2);
  const Status status = refusal(tensors);
  EXPECT_EQ(status.param, "model.b.weight");
  EXPECT_THAT(status.message,
              AllOf(HasSubstr("\"model.b.weight\""), HasSubstr("nor \"model.ab.weight\"")));
}

TEST_F(CheckpointSourceTest, other_types_are_refused) {
  auto tensors = torch_layout();
  tensors[4] = {"model.norm.weight", "F64", {2}, std::string(16, '1')};
  EXPECT_THAT(refusal(tensors).message,
              AllOf(HasSubstr("\"model.norm.weight\": dtype: found F64, expected BF16"),
                    HasSubstr("convert")));
  tensors[4] = {"model.norm.weight", "I8", {2}, "12"};
  EXPECT_THAT(refusal(tensors).message, HasSubstr("found I8"));
  tensors[4] = {"model.norm.weight", "F8_E8M0", {2}, "12"};
  EXPECT_EQ(refusal(tensors).param, "model.norm.weight");
  EXPECT_THAT(refusal(tensors).message, HasSubstr("dtype: found \"F8_E8M0\""));
  tensors[4] = {"model.norm.weight", "F32", {1, 1, 1, 1, 2}, "12345678"};
  EXPECT_THAT(refusal(tensors).message, HasSubstr("shape: found [1,1,1,1,2]"));
}

// Every half by its definition: (-1)^s 2^(e - 15) (1 + f / 1024), below the least e 2^-24 f.
float half_by_definition(int bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                     : exponent == 31
                         ? (fraction == 0 ? INFINITY : NAN)
                         : std::ldexp(1 + static_cast<float>(fraction) / 1024, exponent - 15);
  return bits & 0x8000 ? -size : size;
}

TEST_F(CheckpointSourceTest, every_float16_is_read_exactly) {
  std::vector<uint16_t> halves(1 << 16);
  std::iota(halves.begin(), halves.end(), 0);
  const std::string bytes(reinterpret_cast<const char*>(halves.data()), 2 * halves.size());
  const std::vector<TensorSpec> specs = {
      {"v", TensorKind::kVector, {1 << 16}, {{"model.v", 1 << 16}}},
      {"m", TensorKind::kLinear, {256, 256}, {{"model.m", 256}}}};
  auto source =
      make({{"model.v", "F16", {1 << 16}, bytes}, {"model.m", "F16", {256, 256}, bytes}}, specs);
  ASSERT_TRUE(source) << source.status().message;
  EXPECT_TRUE(source->holds_float16());
  for (const TensorSpec& spec : specs) {
    EXPECT_EQ(source->stored_dtype(spec).value(), DType::kF32);
    std::vector<float> wide(1 << 16);
    std::vector<Bf16> narrow(1 << 16);
    ASSERT_TRUE(source->read(spec, {wide.data(), DType::kF32, spec.shape}));
    ASSERT_TRUE(source->read(spec, {narrow.data(), DType::kBf16, spec.shape}));
    for (int bits = 0; bits < 1 << 16; ++bits) {
      const float expected = half_by_definition(bits);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(wide[bits]) && std::isnan(to_float(narrow[bits]))) << bits;
      } else {
        ASSERT_EQ(std::bit_cast<uint32_t>(wide[bits]), std::bit_cast<uint32_t>(expected)) << bits;
        ASSERT_EQ(narrow[bits].bits, to_bf16(expected).bits) << bits;
      }
    }
  }
}

TEST_F(CheckpointSourceTest, what_nobody_asked_for_is_listed) {
  auto tensors = torch_layout();
  tensors.push_back(f32("model.extra", {1}, {0}));
  tensors.push_back(f32("model.ab.weight", {3, 2}, {10, 11, 12, 13, 14, 15}));
  const auto source = make(tensors, small_specs());
  ASSERT_TRUE(source);
  EXPECT_THAT(source->unused(), ElementsAre("model.a.weight", "model.b.weight", "model.extra"));
}

}  // namespace
}  // namespace erne::weights
