// `erne bench decode|prefill|batched`: their flags, and the model loaded as `erne serve` loads it.
#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/model_bench.h"

namespace erne::apps {

class ModelBenches {
 public:
  // Adds the three subcommands; `app` lives as long as this. `command`: as typed, for the result.
  ModelBenches(CLI::App& app, std::string command);

  bool parsed() const { return chosen() != nullptr; }
  // Loads the model and measures. --max-model-len and --max-num-seqs are raised to what the cases
  // need; nothing needs a tokenizer.
  Result<void> run() const;

 private:
  CLI::App& add(CLI::App& app, const char* name, const char* help);
  const CLI::App* chosen() const;
  std::vector<bench::ModelCase> cases() const;

  std::vector<int> contexts_ = {0, 4096};           // decode
  std::vector<int> prompts_ = {128, 512, 2048};     // prefill
  std::vector<int> sequences_ = {1, 4, 8, 16, 32};  // batched
  int prompt_tokens_ = 128;                         // batched
  int new_tokens_ = 64;                             // decode, batched
  bench::ModelBenchOptions options_;
  CLI::App &decode_, &prefill_, &batched_;
};

}  // namespace erne::apps
