// Checkpoints that others have quantised, end to end: the goldens' weights in FastDeploy's and
// Hugging Face's layouts, with scales that our own encoders would not choose, must give the logits
// of a float32 checkpoint of the numbers they stand for.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "cpu/cpu_backend.h"
#include "cpu/kernels/hadamard.h"
#include "golden.h"
#include "model/config_file.h"
#include "model/load_model.h"
#include "model/tensor_specs.h"
#include "model_run.h"
#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"
#include "weights/checkpoint_fixture.h"
#include "weights/packed_checkpoint.h"
#include "weights/quantized_tensor.h"

namespace erne::tests {
namespace {

using weights::FixtureTensor;

struct Matrix {
  int64_t out, in;
  std::vector<float> values;  // [out, in]
  float at(int64_t n, int64_t k) const { return values[n * in + k]; }
};

std::string text_of(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

float largest_of_row(const Matrix& m, int64_t n) {
  float largest = 0;
  for (int64_t k = 0; k < m.in; ++k) largest = std::max(largest, std::abs(m.at(n, k)));
  return largest;
}

// The grid of each output is a third wider than its largest weight asks for.
std::vector<FixtureTensor> integers(const std::string& base, const Matrix& m, int limit,
                                    bool transposed) {
  std::vector<float> scales;
  const int per_byte = limit == 7 ? 2 : 1;
  const int64_t columns = (m.in + per_byte - 1) / per_byte;
  transposed = transposed && columns != m.out;  // square ones lie as their checkpoint's others do
  std::vector<uint8_t> codes(m.out * columns);
  for (int64_t n = 0; n < m.out; ++n) {
    scales.push_back(to_float(to_bf16(largest_of_row(m, n) * 1.33f / static_cast<float>(limit))));
    for (int64_t k = 0; k < m.in; ++k) {
      const auto q = static_cast<int>(std::lround(m.at(n, k) / scales[n]));
      const int64_t column = k / per_byte;
      uint8_t& byte = codes[transposed ? column * m.out + n : n * columns + column];
      byte |= per_byte == 1 ? q & 255 : (q & 15) << (k % 2 * 4);
    }
  }
  const std::vector<int64_t> shape =
      transposed ? std::vector<int64_t>{columns, m.out} : std::vector<int64_t>{m.out, columns};
  return {{base + "quant_weight", "I8", shape, text_of(codes)},
          {base + "weight_scale", "F32", {m.out}, weights::f32_bytes(scales)}};
}

// Scales are powers of two, as Blackwell wants them.
std::vector<FixtureTensor> fp8(const std::string& base, const Matrix& m) {
  const int64_t tiles_out = block_fp8::num_squares(m.out), tiles_in = block_fp8::num_squares(m.in);
  std::vector<float> largest(tiles_out * tiles_in);
  const auto tile = [&](int64_t n, int64_t k) {
    return n / block_fp8::kSquare * tiles_in + k / block_fp8::kSquare;
  };
  for (int64_t n = 0; n < m.out; ++n)
    for (int64_t k = 0; k < m.in; ++k)
      largest[tile(n, k)] = std::max(largest[tile(n, k)], std::abs(m.at(n, k)));
  for (float& scale : largest) scale = std::exp2(std::ceil(std::log2(scale / 448)));
  std::vector<uint8_t> codes;
  for (int64_t n = 0; n < m.out; ++n)
    for (int64_t k = 0; k < m.in; ++k)
      codes.push_back(to_fp8(m.at(n, k) / largest[tile(n, k)]).bits);
  return {{base + "weight", "F8_E4M3", {m.out, m.in}, text_of(codes)},
          {base + "weight_scale_inv", "F32", {tiles_out, tiles_in}, weights::f32_bytes(largest)}};
}

// Code scales and zeros are not our encoder's.
std::vector<FixtureTensor> ccq(const std::string& base, const Matrix& m) {
  const int64_t num_bytes = ccq::num_bytes(m.in), num_locals = ccq::num_locals(m.in);
  std::vector<uint8_t> codes(num_bytes * m.out), pairs((num_locals + 1) / 2 * m.out);
  std::vector<uint8_t> bytes(num_bytes), locals(num_locals);
  std::vector<float> supers;
  const ccq::Encoder encoder;
  for (int64_t n = 0; n < m.out; ++n) {
    ccq::Row row{bytes, locals};
    encoder.encode({&m.values[n * m.in], static_cast<size_t>(m.in)}, row);
    supers.push_back(to_float(row.super));
    for (int64_t i = 0; i < num_bytes; ++i) codes[i * m.out + n] = bytes[i];
    for (int64_t i = 0; i < num_locals; ++i)
      pairs[i / 2 * m.out + n] |= static_cast<uint8_t>(i % 2 == 0 ? locals[i] << 4 : locals[i]);
  }
  const std::vector<float> code_scales(m.out, 123.5f), code_zeros(m.out, 3.25f);
  return {{base + "quant_weight", "U8", {num_bytes, m.out}, text_of(codes)},
          {base + "code_scale", "F32", {m.out}, weights::f32_bytes(code_scales)},
          {base + "code_zp", "F32", {m.out}, weights::f32_bytes(code_zeros)},
          {base + "weight_scale", "U8", {(num_locals + 1) / 2, m.out}, text_of(pairs)},
          {base + "super_scales", "BF16", {m.out}, weights::bf16_bytes(supers)}};
}

std::vector<FixtureTensor> encoded(const std::string& name, const Matrix& m,
                                   const WeightFormat& format, bool transposed) {
  const std::string base = name.substr(0, name.size() - std::string("weight").size());
  switch (format.encoding) {
    case Encoding::kPlain:
      break;
    case Encoding::kSymmetricInt:
      return integers(base, m, format.bits == 8 ? 127 : 7, transposed);
    case Encoding::kBlockFp8:
      return fp8(base, m);
    case Encoding::kCcq:
      return ccq(base, m);
  }
  check_failed(__FILE__, __LINE__, "a quantised encoding", format.name);
}

// What an offline checkpoint has besides codes, and what is done to weights before.
struct Extras {
  bool transposed = false;
  int rotation = 0;  // of the experts' down_proj, undone in the exact checkpoint
  // Calibrated sizes; 0: none.
  float expert_input = 0, down_input = 0, keys = 0, values = 0;
  std::string zeros = {};  // tensors whose names end like this are zeros
};

void rotate(Matrix& m, int block) {
  if (block > 0) cpu::rotate_rows(DType::kF32, m.values.data(), m.out, m.in, block);
}

// A golden checkpoint quantised, and one of the float32 numbers that it then stands for.
class OfflineGolden : public testing::TestWithParam<const char*> {
 protected:
  void make(const GoldenCheckpoint& golden, const Extras& extras) {
    const auto checkpoint = weights::Checkpoint::open(golden.folder / "pt").value();
    const auto formats = formats_of(golden);
    std::vector<FixtureTensor> offline, exact;
    for (const auto& [name, tensor] : checkpoint.tensors()) {
      const auto format = formats.find(name);
      if (format == formats.end()) {
        offline.push_back(copied(name, tensor));
        exact.push_back(offline.back());
        continue;
      }
      Matrix m = matrix(tensor);
      const bool is_down =
          name.find(".experts.") != std::string::npos && name.ends_with("down_proj.weight");
      const int rotation = is_down ? extras.rotation : 0;
      rotate(m, rotation);
      if (!extras.zeros.empty() && name.ends_with(extras.zeros)) std::ranges::fill(m.values, 0.0f);
      const auto parts = encoded(name, m, *format->second, extras.transposed);
      offline.insert(offline.end(), parts.begin(), parts.end());
      m.values = decoded(name, parts, m);
      rotate(m, rotation);
      exact.push_back({name, "F32", {m.out, m.in}, weights::f32_bytes(m.values)});
      add_sizes(name, m, extras, offline);
    }
    Json config = golden_config(golden);
    exact_.write("config.json", config.dump());
    exact_.write("model.safetensors", weights::safetensors_file(exact));
    config.set("quantization_config", Json::Object{{"quantization", GetParam()},
                                                   {"hadamard_block_size", extras.rotation}});
    offline_.write("config.json", config.dump());
    offline_.write("model.safetensors", weights::safetensors_file(offline));
  }

  std::vector<float> logits(const GoldenCheckpoint& golden, const TempFolder& folder,
                            bool quantize_activations = false, std::optional<DType> kv = {}) {
    const auto model = model::load_model(
        *backend_, folder.path(),
        {.activation = DType::kF32, .quantize_activations = quantize_activations});
    if (!model) {
      ADD_FAILURE() << model.status().message;
      return {};
    }
    return ModelRun(*backend_, **model, kv).run_alone(golden.prompts[0].input_ids, 0);
  }

  TempFolder offline_, exact_;
  std::unique_ptr<Backend> backend_ = cpu::make_cpu_backend(cpu::best_cpu_isa(), /*threads=*/2);

  static Json golden_config(const GoldenCheckpoint& golden) {
    std::ostringstream text;
    text << std::ifstream(golden.folder / "pt/config.json").rdbuf();
    return Json::parse(text.str()).value();
  }
  static FixtureTensor copied(const std::string& name, const weights::CheckpointTensor& tensor) {
    std::vector<int64_t> shape;
    for (int i = 0; i < tensor.shape.rank(); ++i) shape.push_back(tensor.shape[i]);
    const auto bytes = static_cast<size_t>(tensor.shape.elements() * tensor.type->bytes);
    return {name, tensor.type->name, shape,
            std::string(reinterpret_cast<const char*>(tensor.data), bytes)};
  }
  static Matrix matrix(const weights::CheckpointTensor& tensor) {
    Matrix m{tensor.shape[0], tensor.shape[1], {}};
    for (int64_t i = 0; i < m.out * m.in; ++i) {
      Bf16 value;
      std::memcpy(&value, tensor.data + i * sizeof(value), sizeof(value));
      m.values.push_back(to_float(value));
    }
    return m;
  }
  // By name in the checkpoint.
  static std::map<std::string, const WeightFormat*, std::less<>> formats_of(
      const GoldenCheckpoint& golden) {
    const Quantization quantization =
        find_quantization(GetParam())->formats(!golden.routes.empty());
    std::map<std::string, const WeightFormat*, std::less<>> formats;
    const auto config = model::parse_config(golden_config(golden).dump()).value();
    for (const weights::TensorSpec& spec :
         model::text_tensor_specs(config, model::stated_facts(config)))
      for (const weights::TensorPart& part : spec.parts) {
        if (spec.kind == weights::TensorKind::kLinear) formats[part.source] = quantization.linears;
        if (spec.kind == weights::TensorKind::kExpert)
          formats[part.source] = spec.is_early ? quantization.first_experts : quantization.experts;
      }
    return formats;
  }
  // Tensors beside a matrix of this name and shape.
  static void add_sizes(const std::string& name, const Matrix& m, const Extras& extras,
                        std::vector<FixtureTensor>& out) {
    const auto add = [&](const std::string& end, const std::string& sized, int64_t count,
                         float size) {
      if (size == 0 || !name.ends_with(end)) return;
      const std::vector<float> sizes(count, size);
      out.push_back({name.substr(0, name.size() - end.size()) + sized + ".activation_scale",
                     "F32",
                     {count},
                     weights::f32_bytes(sizes)});
    };
    if (name.find(".experts.") != std::string::npos) {
      add("gate_proj.weight", "gate_proj", 1, extras.expert_input);
      add("down_proj.weight", "down_proj", 1, extras.down_input);
    }
    add("k_proj.weight", "cachek_matmul", m.out, extras.keys);
    add("v_proj.weight", "cachev_matmul", m.out, extras.values);
  }
  static std::vector<float> decoded(const std::string& name,
                                    const std::vector<FixtureTensor>& parts, const Matrix& m) {
    const TempFolder folder;
    folder.write("model.safetensors", weights::safetensors_file(parts));
    const auto checkpoint = weights::Checkpoint::open(folder.path()).value();
    std::vector<float> values(m.out * m.in);
    weights::QuantizedTensor::find(checkpoint, name, m.out, m.in, false)
        .value()
        ->read_rows(0, m.out, values.data());
    return values;
  }
};

TEST_P(OfflineGolden, gives_the_logits_of_the_numbers_it_stands_for) {
  for (const GoldenCheckpoint& golden : golden_checkpoints()) {
    make(golden, {});
    const auto expected = logits(golden, exact_);
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(logits(golden, offline_), expected) << golden.name;
    make(golden, {.transposed = true});
    EXPECT_EQ(logits(golden, offline_), logits(golden, exact_)) << golden.name << ", transposed";
  }
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = a.size() == b.size() ? 0 : HUGE_VAL;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double{a[i]} - b[i]));
  return largest;
}

double mean_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(double{a[i]} - b[i]);
  return sum / static_cast<double>(a.size());
}

class CalibratedGolden : public OfflineGolden {
 protected:
  static const GoldenCheckpoint& mixture() {
    return *std::ranges::find(golden_checkpoints(), "e8", &GoldenCheckpoint::name);
  }
};

TEST_P(CalibratedGolden, rotated_weights_meet_rotated_activations) {
  make(mixture(), {.rotation = 16});
  const auto exact = logits(mixture(), exact_), rotated = logits(mixture(), offline_);
  // float32 sums in another order, in three layers; a rotation left out moves logits by ones.
  EXPECT_LT(largest_difference(rotated, exact), 1e-3);
  make(mixture(), {});
  EXPECT_GT(largest_difference(logits(mixture(), offline_), rotated), 0.1) << "the grid is another";
}

// An input that is tiny beside its stated size is rounded to 0.
TEST_P(CalibratedGolden, inputs_have_the_sizes_that_the_checkpoint_states) {
  constexpr float kHuge = 1e9f;
  const auto with = [&](const Extras& extras) {
    make(mixture(), extras);
    return logits(mixture(), offline_, true);
  };
  const auto sizes = with({.expert_input = 4, .down_input = 2});
  const auto dynamic = with({});
  EXPECT_GT(largest_difference(sizes, dynamic), 0);
  EXPECT_LT(mean_difference(sizes, dynamic), 1);
  const auto no_input = with({.expert_input = kHuge, .down_input = 4});
  EXPECT_EQ(with({.expert_input = 4, .down_input = kHuge}), no_input);
  EXPECT_GT(largest_difference(no_input, sizes), 1);
}

TEST_P(CalibratedGolden, the_cache_has_the_scales_that_the_checkpoint_states) {
  const auto with = [&](const Extras& extras, DType kv) {
    make(mixture(), extras);
    return logits(mixture(), offline_, false, kv);
  };
  for (const DType kv : {DType::kI8, DType::kFp8}) {
    const auto dynamic = with({}, kv), fixed = with({.keys = 8, .values = 8}, kv);
    EXPECT_GT(largest_difference(fixed, dynamic), 0);
    EXPECT_LT(largest_difference(fixed, dynamic), 2);
    // Values that are 0 beside their size are as an output projection of zeros.
    EXPECT_EQ(with({.keys = 8, .values = 1e9f}, DType::kI8),
              with({.zeros = "o_proj.weight"}, DType::kI8));
  }
  // Other types have no use for them.
  EXPECT_EQ(with({.keys = 8, .values = 8}, DType::kF32), with({}, DType::kF32));
}

TEST_P(CalibratedGolden, what_the_weights_are_rotated_by_must_be_stated) {
  make(mixture(), {.rotation = 16});
  Json config = golden_config(mixture());
  config.set("quantization_config", Json::Object{{"quantization", GetParam()}});
  offline_.write("config.json", config.dump());
  const auto model = model::load_model(*backend_, offline_.path(), {});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.status().param, "quantization_config.hadamard_block_size");
}

TEST_P(CalibratedGolden, a_packed_checkpoint_keeps_it_all) {
  const Extras extras{
      .rotation = 16, .expert_input = 4, .down_input = 0.5f, .keys = 8, .values = 8};
  make(mixture(), extras);
  const auto expected = logits(mixture(), offline_, true, DType::kI8);
  const TempFolder packed;
  const model::ModelOptions options{.activation = DType::kF32,
                                    .quantization = find_quantization(GetParam())};
  const auto written = model::OpenedModel::open(offline_.path(), options)
                           ->pack(*backend_, {}, packed.file(weights::kPackedCheckpointFile));
  ASSERT_TRUE(written) << written.status().message;
  Json config = golden_config(mixture());
  config.set("quantization_config", Json::Object{{"quant_method", "erne"},
                                                 {"quantization", GetParam()},
                                                 {"input_scales", true},
                                                 {"kv_scales", true},
                                                 {"hadamard_block_size", 16}});
  packed.write("config.json", config.dump());
  EXPECT_EQ(logits(mixture(), packed, true, DType::kI8), expected);
}

INSTANTIATE_TEST_SUITE_P(Schemes, CalibratedGolden, testing::Values("w4a8", "w4a8c8"),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(Schemes, OfflineGolden,
                         testing::Values("wint8", "wint4", "wint2", "block_wise_fp8", "w4a8",
                                         "w4afp8"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace erne::tests
