// Checkpoints as people's tools leave them: whatever they write around the weights, the model is
// the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/log.h"
#include "base/temp_folder_fixture.h"
#include "cpu/cpu_backend.h"
#include "golden.h"
#include "model/load_model.h"
#include "model_run.h"
#include "weights/checkpoint_fixture.h"

namespace erne::tests {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using weights::FixtureTensor;

using Tensors = std::vector<FixtureTensor>;

Tensors tensors_of(const fs::path& folder) {
  const auto checkpoint = weights::Checkpoint::open(folder).value();
  Tensors out;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    FixtureTensor copy{name, tensor.type->name, {}, {}};
    for (int i = 0; i < tensor.shape.rank(); ++i) copy.shape.push_back(tensor.shape[i]);
    copy.bytes.assign(reinterpret_cast<const char*>(tensor.data),
                      static_cast<size_t>(tensor.shape.elements() * tensor.type->bytes));
    out.push_back(std::move(copy));
  }
  return out;
}

std::vector<float> floats_of(const FixtureTensor& tensor) {
  CHECK_EQ(tensor.type, "BF16");
  std::vector<Bf16> stored(tensor.bytes.size() / sizeof(Bf16));
  std::memcpy(stored.data(), tensor.bytes.data(), tensor.bytes.size());
  std::vector<float> out;
  for (const Bf16 value : stored) out.push_back(to_float(value));
  return out;
}

FixtureTensor& named(Tensors& tensors, const std::string& name) {
  return *std::ranges::find(tensors, name, &FixtureTensor::name);
}

// Nearest half of a normal size; the goldens' weights are.
uint16_t half_of(float value) {
  if (value == 0) return 0;
  int exponent = 0;
  const float fraction = std::frexp(std::fabs(value), &exponent);  // [0.5, 1)
  const int scaled = static_cast<int>(std::lround(fraction * 2048));
  const int bits = (exponent - 1 + 15) * 1024 + scaled - 1024;
  return exponent < -13 ? 0 : static_cast<uint16_t>(bits | (value < 0 ? 0x8000 : 0));
}

float float_of_half(uint16_t half) {
  const float size =
      std::ldexp(1024.0f + static_cast<float>(half & 1023), (half >> 10 & 31) - 15 - 10);
  return (half & 0x7FFF) == 0 ? 0.0f : half & 0x8000 ? -size : size;
}

class Checkpoints : public testing::Test {
 protected:
  Checkpoints() {
    plain_.write("config.json", bytes_of_file(golden_ / "config.json"));
    plain_.write("model.safetensors", weights::safetensors_file(tensors_));
    folder_.write("config.json", bytes_of_file(golden_ / "config.json"));
  }

  void write_single(const Tensors& tensors) {
    folder_.write("model.safetensors", weights::safetensors_file(tensors));
  }
  // Two shards of halves, and the index that names what it is told to.
  void write_shards(const Tensors& tensors, const std::function<bool(const std::string&)>& names,
                    const std::string& also = "") {
    const auto middle = tensors.begin() + std::ssize(tensors) / 2;
    const std::string files[] = {"model-00001-of-00002.safetensors",
                                 "model-00002-of-00002.safetensors"};
    folder_.write(files[0], weights::safetensors_file(Tensors(tensors.begin(), middle)));
    folder_.write(files[1], weights::safetensors_file(Tensors(middle, tensors.end())));
    Json::Object map;
    for (auto at = tensors.begin(); at != tensors.end(); ++at)
      if (names(at->name)) map.emplace_back(at->name, files[at < middle ? 0 : 1]);
    if (!also.empty()) map.emplace_back(also, files[0]);
    folder_.write("model.safetensors.index.json",
                  Json(Json::Object{{"weight_map", std::move(map)}}).dump());
  }

  std::vector<float> logits(const TempFolder& folder) {
    const auto model = model::load_model(*backend_, folder.path(), {.activation = DType::kF32});
    if (!model) {
      ADD_FAILURE() << model.status().message;
      return {};
    }
    return ModelRun(*backend_, **model).run_alone(std::vector<int32_t>{1, 2, 3}, 0);
  }
  void expect_the_same_model(const std::string& what) {
    EXPECT_EQ(logits(folder_), logits(plain_)) << what;
  }
  Status refusal() {
    const auto model = model::load_model(*backend_, folder_.path(), {});
    return model ? Status{Code::kInternal, "accepted"} : model.status();
  }

  const fs::path golden_ = dense_goldens() / "untied/pt";
  Tensors tensors_ = tensors_of(golden_);
  TempFolder plain_, folder_;
  std::unique_ptr<Backend> backend_ = cpu::make_cpu_backend(cpu::CpuIsa::kReference, 1);
};

TEST_F(Checkpoints, what_the_model_does_not_need_does_not_matter) {
  Tensors tensors = tensors_;
  const FixtureTensor strangers[] = {{"visual.patch", "F32", {1, 1, 1, 1, 2}, "12345678"},
                                     {"a.scale", "F8_E8M0", {4}, "1234"},
                                     {"a.phase", "C64", {1}, "12345678"},
                                     {"a.mx", "F4", {4}, "12"},
                                     {"a.index", "U16", {2}, "1234"},
                                     {"a.double", "F64", {1}, "12345678"},
                                     {"a.empty", "I64", {0, 3}, ""}};
  tensors.insert(tensors.begin(), std::begin(strangers), std::end(strangers));
  write_single(tensors);
  for (const char* file : {".DS_Store", "._model.safetensors", "model.safetensors.index.json.bak",
                           "consolidated.safetensors", "optimizer.pt", "pytorch_model.bin"})
    folder_.write(file, "anything");
  expect_the_same_model("odd types and files");
}

TEST_F(Checkpoints, what_the_model_needs_and_cannot_read_is_named) {
  Tensors tensors = tensors_;
  named(tensors, "model.norm.weight").type = "F8_E8M0";
  write_single(tensors);
  EXPECT_EQ(refusal().param, "model.norm.weight");
  EXPECT_THAT(refusal().message, AllOf(HasSubstr("model.norm.weight"), HasSubstr("F8_E8M0")));
}

TEST_F(Checkpoints, an_index_may_be_wrong_where_it_does_not_matter) {
  const auto all = [](const std::string&) { return true; };
  write_shards(tensors_, all);
  expect_the_same_model("whole index");
  write_shards(tensors_, all, "model.layers.99.nothing");
  expect_the_same_model("a name that no shard holds");
  write_shards(tensors_, [](const std::string& name) { return name != "model.norm.weight"; });
  expect_the_same_model("a tensor that it does not name");
  fs::remove(folder_.path() / "model.safetensors.index.json");
  expect_the_same_model("no index");

  write_shards(tensors_, all);
  fs::remove(folder_.path() / "model-00002-of-00002.safetensors");
  EXPECT_THAT(refusal().message,
              AllOf(HasSubstr("tensor "), HasSubstr("model-00002-of-00002"), HasSubstr("missing")));
  write_single(tensors_);
  expect_the_same_model("a whole file beside a stale index");
}

TEST_F(Checkpoints, names_may_keep_what_wrapped_the_model) {
  for (const std::string front :
       {"module.", "_orig_mod.", "base_model.model.", "model.", "module._orig_mod."}) {
    Tensors tensors = tensors_;
    for (FixtureTensor& tensor : tensors) tensor.name = front + tensor.name;
    write_single(tensors);
    expect_the_same_model(front);
  }
}

TEST_F(Checkpoints, float16_weights_are_converted) {
  Tensors halves = tensors_, exact = tensors_;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    std::vector<float> values = floats_of(tensors_[i]);
    std::vector<uint16_t> bits(values.size());
    for (size_t k = 0; k < values.size(); ++k)
      values[k] = float_of_half(bits[k] = half_of(values[k]));
    halves[i].type = "F16";
    halves[i].bytes.assign(reinterpret_cast<const char*>(bits.data()), 2 * bits.size());
    exact[i].type = "F32";
    exact[i].bytes = weights::f32_bytes(values);
  }
  plain_.write("model.safetensors", weights::safetensors_file(exact));
  write_single(halves);
  testing::internal::CaptureStderr();
  const std::vector<float> converted = logits(folder_);
  flush_log();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(converted, logits(plain_));
  EXPECT_THAT(log, HasSubstr("float16"));
  EXPECT_EQ(log.find("float16"), log.rfind("float16")) << "said once";
}

// Transformers ties the head where config.json says so.
TEST_F(Checkpoints, a_head_that_is_dropped_is_warned_of_if_it_differs) {
  Json config = Json::parse(bytes_of_file(golden_ / "config.json")).value();
  config.set("tie_word_embeddings", true);
  const auto log_of = [&](const Tensors& tensors) {
    folder_.write("config.json", config.dump());
    write_single(tensors);
    testing::internal::CaptureStderr();
    EXPECT_TRUE(model::OpenedModel::open(folder_.path(), {}));
    flush_log();
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(log_of(tensors_), HasSubstr("the embedding is used as the head"));
  Tensors same = tensors_;
  named(same, "lm_head.weight").bytes = named(same, "model.embed_tokens.weight").bytes;
  EXPECT_THAT(log_of(same), testing::Not(HasSubstr("is used as the head")));
}

TEST_F(Checkpoints, an_adapter_that_is_not_merged_is_refused) {
  Tensors tensors = tensors_;
  for (FixtureTensor& tensor : tensors)
    if (const size_t at = tensor.name.find("q_proj.weight"); at != std::string::npos)
      tensor.name.replace(at, std::string::npos, "q_proj.base_layer.weight");
  tensors.push_back({"model.layers.0.self_attn.q_proj.lora_A.default.weight", "F32", {1}, "1234"});
  write_single(tensors);
  EXPECT_THAT(refusal().message, AllOf(HasSubstr("q_proj.weight"), HasSubstr("LoRA")));
}

TEST_F(Checkpoints, broken_files_say_what_to_do) {
  const std::string whole = weights::safetensors_file(tensors_);
  const std::pair<std::string, const char*> cases[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"},
      {"", "download it again"},
      {whole.substr(0, whole.size() - 1), "download it again"},
      {whole.substr(0, 100), "download it again"}};
  for (const auto& [bytes, says] : cases) {
    folder_.write("model.safetensors", bytes);
    EXPECT_THAT(refusal().message, AllOf(HasSubstr("model.safetensors"), HasSubstr(says)));
  }
}

}  // namespace
}  // namespace erne::tests
