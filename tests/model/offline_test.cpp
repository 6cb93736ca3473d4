// Checkpoints that others have quantised, end to end: the goldens' weights in FastDeploy's and
// Hugging Face's layouts, with scales that our own encoders would not choose, must give the logits
// of a float32 checkpoint of the numbers they stand for.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "cpu/cpu_backend.h"
#include "golden.h"
#include "model/registry.h"
#include "model/tensor_specs.h"
#include "model_run.h"
#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"
#include "weights/checkpoint_fixture.h"
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
  const int64_t tiles_out = block_fp8::num_tiles(m.out), tiles_in = block_fp8::num_tiles(m.in);
  std::vector<float> largest(tiles_out * tiles_in);
  const auto tile = [&](int64_t n, int64_t k) {
    return n / block_fp8::kTile * tiles_in + k / block_fp8::kTile;
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

// A golden checkpoint quantised, and one of the float32 numbers that it then stands for.
class OfflineGolden : public testing::TestWithParam<const char*> {
 protected:
  void make(const GoldenCheckpoint& golden, bool transposed) {
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
      const Matrix m = matrix(tensor);
      const auto parts = encoded(name, m, *format->second, transposed);
      offline.insert(offline.end(), parts.begin(), parts.end());
      exact.push_back({name, "F32", {m.out, m.in}, decoded(name, parts, m)});
    }
    Json config = golden_config(golden);
    exact_.write("config.json", config.dump());
    exact_.write("model.safetensors", weights::safetensors_file(exact));
    config.set("quantization_config", Json::Object{{"quantization", GetParam()}});
    offline_.write("config.json", config.dump());
    offline_.write("model.safetensors", weights::safetensors_file(offline));
  }

  std::vector<float> logits(const GoldenCheckpoint& golden, const TempFolder& folder) {
    const auto model = model::load_model(
        *backend_, folder.path(), {.activation = DType::kF32, .quantize_activations = false});
    if (!model) {
      ADD_FAILURE() << model.status().message;
      return {};
    }
    return ModelRun(*backend_, **model).run_alone(golden.prompts[0].input_ids, 0);
  }

  TempFolder offline_, exact_;
  std::unique_ptr<Backend> backend_ =
      cpu::make_cpu_backend(cpu::parse_cpu_isa("auto").value(), /*threads=*/2);

 private:
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
    const auto config = model::parse_ernie_config(golden_config(golden).dump()).value();
    for (const weights::TensorSpec& spec : model::text_tensor_specs(config))
      for (const weights::TensorPart& part : spec.parts) {
        if (spec.kind == weights::TensorKind::kLinear) formats[part.source] = quantization.linears;
        if (spec.kind == weights::TensorKind::kExpert)
          formats[part.source] = spec.is_early ? quantization.first_experts : quantization.experts;
      }
    return formats;
  }
  static std::string decoded(const std::string& name, const std::vector<FixtureTensor>& parts,
                             const Matrix& m) {
    const TempFolder folder;
    folder.write("model.safetensors", weights::safetensors_file(parts));
    const auto checkpoint = weights::Checkpoint::open(folder.path()).value();
    std::vector<float> values(m.out * m.in);
    weights::QuantizedTensor::find(checkpoint, name, m.out, m.in, false)
        .value()
        ->read_rows(0, m.out, values.data());
    return weights::f32_bytes(values);
  }
};

TEST_P(OfflineGolden, gives_the_logits_of_the_numbers_it_stands_for) {
  for (const GoldenCheckpoint& golden : golden_checkpoints()) {
    make(golden, /*transposed=*/false);
    const auto expected = logits(golden, exact_);
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(logits(golden, offline_), expected) << golden.name;
    make(golden, /*transposed=*/true);
    EXPECT_EQ(logits(golden, offline_), logits(golden, exact_)) << golden.name << ", transposed";
  }
}

INSTANTIATE_TEST_SUITE_P(Schemes, OfflineGolden,
                         testing::Values("wint8", "wint4", "wint2", "block_wise_fp8", "w4afp8"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace erne::tests
