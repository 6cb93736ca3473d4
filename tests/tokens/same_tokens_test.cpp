// The product's promise: the same request gives the same tokens, whatever else is in the batch,
// however the prompt is cut, whether its prefix was cached, whether it was preempted, and whichever
// kernels and threads computed it. Every request is run alone on a fresh engine once; then again
// under many settings, all requests together. Each (request, setting) is one pair; there are 20,000
// of them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <random>

#include "base/clock.h"
#include "cpu/cpu_backend.h"
#include "engine/engine.h"
#include "exec/model_executor.h"
#include "model/registry.h"

namespace erne {
namespace {

constexpr int kVocabulary = 97;
constexpr int kModelLen = 96;
constexpr int kRequests = 200;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kPairs = 1600;  // sanitizers look at the code, the release build counts the tokens
#else
constexpr int kPairs = 20000;
#endif

std::filesystem::path model_folder(bool experts) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) /
                                       (experts ? "erne_same_tokens_moe" : "erne_same_tokens");
  std::filesystem::create_directories(folder);
  const char* kind = experts ? R"("architectures": ["Ernie4_5_MoeForCausalLM"],
    "moe_num_experts": 7, "moe_k": 3, "moe_intermediate_size": 24, "moe_num_shared_experts": 1,
    "moe_layer_start_index": 1,)"
                             : R"("architectures": ["Ernie4_5ForCausalLM"],)";
  std::ofstream(folder / "config.json") << "{" << kind << R"(
    "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "intermediate_size": 80, "vocab_size": 97, "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": true})";
  return folder;
}

struct Types {
  DType activation, kv;
  const char* quantization = nullptr;  // nullptr: weights as they are
  bool quantize_activations = true;
  bool experts = false;
};
constexpr Types kTypes[] = {{DType::kF32, DType::kF32},
                            {DType::kF32, DType::kI8},
                            {DType::kBf16, DType::kBf16},
                            {DType::kBf16, DType::kI8},
                            {DType::kF32, DType::kF32, "wint8"},
                            {DType::kBf16, DType::kI8, "wint4_g64"},
                            {DType::kBf16, DType::kBf16, "wint4"},
                            {DType::kBf16, DType::kBf16, "wint8", false},
                            {DType::kF32, DType::kF32, nullptr, false, true},
                            {DType::kBf16, DType::kI8, "wint4", true, true},
                            {DType::kBf16, DType::kFp8, "block_wise_fp8", true, true},
                            {DType::kBf16, DType::kBf16, "wint2", true, true},
                            {DType::kF32, DType::kI8, "w4afp8", true, true}};
std::string name_of(const Types& types) {
  std::string name = std::string(dtype_name(types.activation)) + "_kv_" + dtype_name(types.kv) +
                     (types.experts ? "_experts" : "");
  if (types.quantization == nullptr) return name;
  return name + "_" + types.quantization + (types.quantize_activations ? "" : "_as_given");
}
model::ModelOptions model_options(const Types& types) {
  model::ModelOptions options;
  options.activation = types.activation;
  options.random_seed = 7;
  if (types.quantization != nullptr) options.quantization = find_quantization(types.quantization);
  options.quantize_activations = types.quantize_activations;
  return options;
}

// How one run of all requests is served.
struct Setting {
  cpu::CpuIsa isa = cpu::CpuIsa::kReference;
  Types types = kTypes[0];
  int threads = 1;
  int max_rows = 1, max_tokens = 1024;
  int block_tokens = 16;
  int num_blocks = 0;  // 0: the bare minimum for one sequence
  bool share_prefixes = true, chunk_prompts = true;
  int times = 1;  // more: all requests again on the same engine, now with a warm cache
};

struct Outcome {
  std::vector<std::vector<sched::TokenId>> tokens;  // by request, by time
  int64_t preemptions = 0, cached_tokens = 0;
};

class Server {  // an engine over a random model, stepped by hand
 public:
  explicit Server(const Setting& setting)
      : backend_(cpu::make_cpu_backend(setting.isa, setting.threads)),
        model_(std::move(model::load_model(*backend_, model_folder(setting.types.experts),
                                           model_options(setting.types)))
                   .value()) {
    const int least = (kModelLen + setting.block_tokens - 1) / setting.block_tokens;
    executor_ = std::make_unique<exec::ModelExecutor>(
        *backend_, *model_,
        exec::ExecutorOptions{setting.num_blocks ? setting.num_blocks : least, setting.block_tokens,
                              setting.max_tokens, setting.max_rows, kVocabulary, setting.types.kv});
    sched::Limits limits;
    limits.max_rows = setting.max_rows;
    limits.max_tokens = setting.max_tokens;
    limits.max_model_len = kModelLen;
    limits.share_prefixes = setting.share_prefixes;
    limits.chunk_prompts = setting.chunk_prompts;
    engine_ = std::make_unique<engine::Engine>(*executor_, limits, clock_);
  }

  std::vector<std::vector<sched::TokenId>> serve(const std::vector<sched::Request>& requests) {
    std::vector<std::shared_ptr<engine::TokenStream>> streams;
    for (sched::Request request : requests) {
      request.id = engine_->client().next_id();
      streams.push_back(std::move(engine_->client().submit(request, [] {})).value());
    }
    while (engine_->step()) {
    }
    std::vector<std::vector<sched::TokenId>> out;
    for (const auto& stream : streams) out.push_back(drain(*stream));
    return out;
  }
  engine::EngineStats stats() const { return engine_->client().stats(); }

 private:
  static std::vector<sched::TokenId> drain(engine::TokenStream& stream) {
    std::vector<sched::TokenId> tokens;
    int finishes = 0;
    while (const auto event = stream.next()) {
      tokens.insert(tokens.end(), event->event.tokens.begin(), event->event.tokens.end());
      finishes += event->event.finish.has_value();
    }
    EXPECT_EQ(finishes, 1);
    return tokens;
  }

  SteadyClock clock_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<exec::ModelExecutor> executor_;
  std::unique_ptr<engine::Engine> engine_;
};

// Prompts share beginnings in three families, so that prefix hits and copies of one prompt occur.
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

std::vector<sched::Request> all_requests() {
  std::mt19937 random(20250);
  std::vector<sched::Request> out;
  for (int i = 0; i < kRequests; ++i) out.push_back(random_request(random));
  return out;
}

std::vector<std::vector<sched::TokenId>> alone(const std::vector<sched::Request>& requests,
                                               const Types& types) {
  std::vector<std::vector<sched::TokenId>> out;
  Setting setting;
  setting.types = types;
  setting.share_prefixes = false;  // every request finds an engine that remembers nothing
  Server server(setting);
  for (const sched::Request& request : requests) out.push_back(server.serve({request}).front());
  return out;
}

Setting random_setting(std::mt19937& random, const Types& types) {
  auto pick = [&](std::initializer_list<int> values) {
    return values.begin()[random() % values.size()];
  };
  Setting s;
  s.types = types;
  const auto draw = random() % 16;
  constexpr cpu::CpuIsa kFastIsas[] = {cpu::CpuIsa::kAvx2, cpu::CpuIsa::kAvx512,
                                       cpu::CpuIsa::kAvx512Bf16, cpu::CpuIsa::kAmx};
  const cpu::CpuIsa isa = draw == 0 ? cpu::CpuIsa::kReference : kFastIsas[draw % 4];
  s.isa = cpu::cpu_supports(isa) ? isa : cpu::parse_cpu_isa("auto").value();
  s.threads = pick({1, 1, 1, 2, 3});
  s.max_rows = pick({1, 2, 7, 16, 64});
  s.chunk_prompts = pick({0, 1, 1, 1});
  s.max_tokens = s.chunk_prompts ? s.max_rows + pick({0, 1, 2, 6, 63, 500}) : 1024;
  s.block_tokens = pick({16, 32, 64});
  const int least = (kModelLen + s.block_tokens - 1) / s.block_tokens;
  s.num_blocks = least * pick({1, 1, 1, 2, 10});
  s.share_prefixes = pick({0, 1, 1});
  s.times = pick({1, 2});
  return s;
}

std::string describe(const Setting& s) {
  std::ostringstream out;
  out << cpu::cpu_isa_name(s.isa) << ' ' << name_of(s.types) << " threads " << s.threads << " rows "
      << s.max_rows << " tokens " << s.max_tokens << " blocks " << s.num_blocks << " x "
      << s.block_tokens << " share " << s.share_prefixes << " chunk " << s.chunk_prompts;
  return out.str();
}

TEST(SameTokens, InEverySetting) {
  const auto requests = all_requests();
  std::vector<std::vector<std::vector<sched::TokenId>>> expected_of;  // by type
  for (const Types& types : kTypes) expected_of.push_back(alone(requests, types));
  std::mt19937 random(7);
  int pairs = 0, different = 0;
  int64_t preemptions = 0, cached = 0;
  for (size_t type = 0; pairs < kPairs; type = (type + 1) % std::size(kTypes)) {
    const auto& expected = expected_of[type];
    const Setting setting = random_setting(random, kTypes[type]);
    Server server(setting);
    for (int time = 0; time < setting.times; ++time) {
      const auto found = server.serve(requests);
      for (int i = 0; i < kRequests; ++i) {
        ++pairs;
        different += found[i] != expected[i];
        if (found[i] != expected[i] && different < 5)
          ADD_FAILURE() << "request " << i << " time " << time << " under " << describe(setting);
      }
    }
    preemptions += server.stats().preemptions;
    cached += server.stats().cached_prompt_tokens;
  }
  EXPECT_EQ(different, 0);
  // The pairs are worth something only if the settings did what they are for.
  EXPECT_GT(preemptions, pairs / 50);
  EXPECT_GT(cached, pairs / 2);
  std::cout << pairs << " pairs, " << different << " different; " << preemptions << " preemptions, "
            << cached << " prompt tokens from the cache\n";
}

}  // namespace
}  // namespace erne
