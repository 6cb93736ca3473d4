// The goldens of tests/goldens/dense and tests/goldens/moe as data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace erne::tests {

struct GoldenPrompt {
  std::string name;
  std::vector<int32_t> input_ids;  // [T]
  int first_position = 0;          // of the rotary embedding
  int first_logit_row = 0;
  std::vector<float> logits;         // [T - first_logit_row, V]
  std::vector<int32_t> greedy;       // [32]
  std::vector<float> greedy_margin;  // best minus second logit of each step
  float hf_bf16_max_diff = 0;        // HF's own bfloat16 logits against its float32 ones
  float hf_bf16_mean_diff = 0;
};

struct GoldenRoute {
  std::vector<float> logits;     // [T, E]
  std::vector<int32_t> experts;  // [T, k] best first
  std::vector<float> weights;    // [T, k]
};

struct GoldenCheckpoint {
  std::string name;  // "tied", "untied", "e8", "e64"
  std::filesystem::path folder;
  std::vector<std::string> layouts;  // sub-folders that hold the same model
  std::vector<GoldenPrompt> prompts;
  std::string traced_prompt;
  std::map<std::string, std::vector<float>>
      hidden;                       // of the traced prompt: "0" ... "L", "final_norm"
  std::vector<GoldenRoute> routes;  // of the traced prompt, for each mixture
};

std::filesystem::path dense_goldens();

// The float32 or int64 tensors of a safetensors file; dies on an unreadable file.
std::map<std::string, std::vector<float>> read_floats(const std::filesystem::path& file);
std::map<std::string, std::vector<int64_t>> read_integers(const std::filesystem::path& file);

const std::vector<GoldenCheckpoint>& golden_checkpoints();

}  // namespace erne::tests
