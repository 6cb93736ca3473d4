// How many kernels a layer launches on a GPU when it decodes: each costs microseconds, however
// little it does (docs/cuda.md).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/temp_folder_fixture.h"
#include "cuda/emulation/launch_count.h"
#include "device/devices.h"
#include "model/load_model.h"
#include "model_run.h"

namespace erne::tests {
namespace {

const Device& emulated_cuda() {
  return *std::ranges::find(other_devices(), std::string_view("cuda_emulated"),
                            [](const Device& device) { return std::string_view(device.name); });
}

struct Kind {
  const char* quantization = nullptr;
  bool experts = false;
};

// Of one token's step through a model of so many layers.
uint64_t launches_of_step(int layers, const Kind& kind) {
  const TempFolder folder;
  folder.write("config.json",
               fmt::format(R"({{"architectures": ["{}"], {}
    "hidden_size": 128, "num_hidden_layers": {}, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 64, "intermediate_size": 128, "vocab_size": 50,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
    "rope_theta": 10000, "tie_word_embeddings": true}})",
                           kind.experts ? "Ernie4_5_MoeForCausalLM" : "Ernie4_5ForCausalLM",
                           kind.experts ? R"("moe_num_experts": 4, "moe_k": 2,
    "moe_intermediate_size": 128, "moe_num_shared_experts": 1, "moe_layer_start_index": 0,)"
                                        : "",
                           layers));
  model::ModelOptions options;
  options.random_seed = 1;
  if (kind.quantization != nullptr) {
    options.quantization = find_quantization(kind.quantization);
    options.quantize_activations = true;
  }
  const auto backend = emulated_cuda().make(1);
  const auto model = model::load_model(*backend, folder.path(), options).value();
  ModelRun run(*backend, *model);
  const int sequence = run.add_sequence();
  const int32_t token = 7;
  const Feed feed{sequence, {&token, 1}};
  backend->finish();
  const uint64_t before = cuda::emulation::launch_count();
  backend->run({"step", 1, 1}, [&] { run.step({&feed, 1}); });
  return cuda::emulation::launch_count() - before;
}

void expect_launches(const Kind& kind, uint64_t expected) {
  if (!emulated_cuda().available()) GTEST_SKIP();
  const uint64_t one = launches_of_step(1, kind), three = launches_of_step(3, kind);
  EXPECT_EQ(three - one, 2 * expected);
}

// The products of q, k and v, rope with the KV write, attention and its merge, the product of its
// output, a norm, gate and up, silu, down, a norm.
TEST(Launches, OfADenseLayer) {
  expect_launches({}, 10);
}

// Instead of the dense feed-forward: the router's product and its choice, three of the shared
// experts, and gate and up with silu, down, and the sum of the experts.
TEST(Launches, OfALayerWithExperts) {
  expect_launches({.experts = true}, 15);
}

// Rows of 8-bit numbers are made before each product but the router's.
TEST(Launches, OfALayerWithExpertsOf4BitsAnd8BitActivations) {
  expect_launches({.quantization = "w4a8", .experts = true}, 21);
}

}  // namespace
}  // namespace erne::tests
