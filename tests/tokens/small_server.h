// An engine over a small random model, dense or with experts, stepped by hand: what the tests of
// equal tokens serve requests on.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cpu/kernel_backend.h"
#include "device/devices.h"
#include "engine/engine.h"
#include "exec/model_executor.h"
#include "model/load_model.h"

namespace erne::tests {

constexpr int kVocabulary = 97;
constexpr int kModelLen = 96;

struct Types {
  DType activation, kv;
  const char* quantization = nullptr;  // nullptr: weights as they are
  bool quantize_activations = true;
  bool experts = false;
};
std::string name_of(const Types& types);

// How requests are served.
struct Setting {
  cpu::CpuIsa isa = cpu::CpuIsa::kReference;
  const cpu::Kernels* kernels = nullptr;  // these and not those of `isa`
  const Device* device = nullptr;         // this and not the CPU
  Types types = {DType::kF32, DType::kF32};
  int threads = 1;
  int max_rows = 1, max_tokens = 1024;
  int block_tokens = 16;
  int num_blocks = 0;   // 0: the bare minimum for one sequence
  int host_blocks = 0;  // of the tier that unused prefixes go to
  bool share_prefixes = true, chunk_prompts = true;
  int max_drafts = 0;  // guessed from the text itself
  int model_len = kModelLen;
  int times = 1;  // more: all requests again on the same engine, now with a warm cache

  int least_blocks() const { return (model_len + block_tokens - 1) / block_tokens; }
};

using Tokens = std::vector<sched::TokenId>;

class SmallServer {
 public:
  explicit SmallServer(const Setting& setting);

  // All at once; the tokens of each. Every stream ends in one finish.
  std::vector<Tokens> serve(const std::vector<sched::Request>& requests);
  engine::Engine& engine() { return *engine_; }
  exec::ModelExecutor& executor() { return *executor_; }
  const model::Model& model() const { return *model_; }
  engine::EngineStats stats() const { return engine_->client().stats(); }

 private:
  SteadyClock clock_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<exec::ModelExecutor> executor_;
  std::unique_ptr<engine::Engine> engine_;
};

exec::ExecutorOptions executor_options(const Setting& setting);
// The model that a server has, without its values.
std::unique_ptr<model::Model> outline_model(Backend& backend, const Types& types);

// Prompts share beginnings in three families, so that prefix hits and copies of one prompt occur.
sched::Request random_request(std::mt19937& random);

}  // namespace erne::tests
