#include "tokens/small_server.h"

#include <gtest/gtest.h>

#include "base/temp_folder_fixture.h"
#include "exec/ngram_drafter.h"
#include "grammar/answer_constraint.h"

namespace erne::tests {
namespace {

std::string model_config(bool experts) {
  const char* kind = experts ? R"("architectures": ["Ernie4_5_MoeForCausalLM"],
    "moe_num_experts": 7, "moe_k": 3, "moe_intermediate_size": 24, "moe_num_shared_experts": 1,
    "moe_layer_start_index": 1,)"
                             : R"("architectures": ["Ernie4_5ForCausalLM"],)";
  return std::string("{") + kind + R"(
    "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "intermediate_size": 80, "vocab_size": 97, "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": true})";
}

model::ModelOptions model_options(const Types& types) {
  model::ModelOptions options;
  options.activation = types.activation;
  options.random_seed = 7;
  if (types.quantization != nullptr) options.quantization = find_quantization(types.quantization);
  options.quantize_activations = types.quantize_activations;
  return options;
}

auto random_model(Backend& backend, const Types& types) {
  const TempFolder folder;
  folder.write("config.json", model_config(types.experts));
  return model::load_model(backend, folder.path(), model_options(types)).value();
}

// Random texts repeat themselves seldom: one token in common is enough for a guess.
std::unique_ptr<exec::Drafter> make_drafter(int max_drafts) {
  if (max_drafts == 0) return nullptr;
  return std::make_unique<exec::NgramDrafter>(
      exec::NgramOptions{.max_drafts = max_drafts, .shortest = 1});
}

std::unique_ptr<Backend> make_backend(const Setting& setting) {
  if (setting.device != nullptr) return setting.device->make(setting.threads);
  if (setting.kernels != nullptr)
    return cpu::make_cpu_backend("emulated", *setting.kernels, setting.threads);
  return cpu::make_cpu_backend(setting.isa, setting.threads);
}

Tokens drain(engine::TokenStream& stream) {
  Tokens tokens;
  int finishes = 0;
  while (const auto event = stream.next()) {
    tokens.insert(tokens.end(), event->event.tokens.begin(), event->event.tokens.end());
    finishes += event->event.finish.has_value();
  }
  EXPECT_EQ(finishes, 1);
  return tokens;
}

}  // namespace

std::string name_of(const Types& types) {
  std::string name = std::string(dtype_name(types.activation)) + "_kv_" + dtype_name(types.kv) +
                     (types.experts ? "_experts" : "");
  if (types.quantization == nullptr) return name;
  return name + "_" + types.quantization + (types.quantize_activations ? "" : "_as_given");
}

exec::ExecutorOptions executor_options(const Setting& setting) {
  return {.num_blocks = setting.num_blocks ? setting.num_blocks : setting.least_blocks(),
          .host_blocks = setting.host_blocks,
          .block_tokens = setting.block_tokens,
          .max_tokens = setting.max_tokens,
          .max_rows = setting.max_rows,
          .num_valid_tokens = kVocabulary,
          .kv_dtype = setting.types.kv};
}

std::unique_ptr<model::Model> outline_model(Backend& backend, const Types& types) {
  const TempFolder folder;
  folder.write("config.json", model_config(types.experts));
  return model::OpenedModel::open(folder.path(), model_options(types))
      .value()
      .outline(backend)
      .value();
}

SmallServer::SmallServer(const Setting& setting)
    : backend_(make_backend(setting)), model_(random_model(*backend_, setting.types)) {
  executor_ = std::make_unique<exec::ModelExecutor>(*backend_, *model_, executor_options(setting),
                                                    make_drafter(setting.max_drafts),
                                                    grammar::make_constraint);
  sched::Limits limits;
  limits.max_rows = setting.max_rows;
  limits.max_tokens = setting.max_tokens;
  limits.max_model_len = setting.model_len;
  limits.max_drafts = setting.max_drafts;
  limits.share_prefixes = setting.share_prefixes;
  limits.chunk_prompts = setting.chunk_prompts;
  engine_ = std::make_unique<engine::Engine>(*executor_, limits, clock_);
}

std::vector<Tokens> SmallServer::serve(const std::vector<sched::Request>& requests) {
  std::vector<std::shared_ptr<engine::TokenStream>> streams;
  for (sched::Request request : requests) {
    request.id = engine_->client().next_id();
    streams.push_back(std::move(engine_->client().submit(request, [] {})).value());
  }
  while (engine_->step()) {
  }
  std::vector<Tokens> out;
  for (const auto& stream : streams) out.push_back(drain(*stream));
  return out;
}

sched::Request random_request(std::mt19937& random) {
  auto below = [&](int n) { return static_cast<int>(random() % n); };
  sched::Request request;
  std::mt19937 family(below(3));
  const int shared = below(40);
  for (int i = 0; i < shared; ++i) request.prompt.push_back(family() % kVocabulary);
  const int own = 1 + below(20);
  for (int i = 0; i < own; ++i) request.prompt.push_back(below(kVocabulary));
  sched::SamplingParams& sampling = request.sampling;
  sampling.temperature = below(2) ? 0.0f : 0.9f;
  sampling.seed = below(1000);
  if (below(3) == 0) sampling.top_p = 0.8f;
  if (below(4) == 0) sampling.top_k = 10;
  if (below(4) == 0) sampling.repetition_penalty = 1.2f;
  if (below(4) == 0) sampling.frequency_penalty = 0.5f;
  request.stop.max_new_tokens = 1 + below(30);
  if (below(2)) request.stop.eos_ids = {2, 11, 23};
  return request;
}

}  // namespace erne::tests
