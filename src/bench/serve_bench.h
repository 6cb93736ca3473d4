// `erne bench serve`: asks a running server for many completions and reports how it did.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/status.h"

namespace erne::bench {

struct ServeBenchOptions {
  std::string base_url = "http://127.0.0.1:8000";
  std::string endpoint = "/v1/completions";
  std::string served_model_name;  // empty: the first of GET /v1/models
  std::string api_key;
  int64_t num_prompts = 100;
  int64_t max_concurrency = 0;                                    // 0: as many as there are prompts
  double request_rate = std::numeric_limits<double>::infinity();  // requests per second
  std::string dataset = "random";                                 // or a JSON Lines file
  int64_t input_len = 512, output_len = 64;
  int64_t vocab_size = 0;  // 0: ask the server
  int64_t seed = 0;
  bool ignore_eos = false;
  double temperature = 0;
  std::string response_format;  // JSON, as the field takes it; empty: none
  int64_t timeout_s = 1800;     // per request
  // For the floor, where the server is on this machine: the weights' size, or the checkpoint to sum
  // it from. Neither: the checkpoint that /v1/models names, if this process can read it.
  std::string model_dir;
  int64_t weight_bytes = 0;
  std::string save_result;  // JSON; empty: none
  std::string plot;         // SVG; empty: none
  std::string command;      // as typed, for the result
};

// Refuses values out of range, by the flag's name.
Result<void> check(const ServeBenchOptions& options);

struct ServeBenchResult {
  std::string text;  // for the terminal
  Json json;
  bool any_completed = false;
};

// Runs the load and writes the files asked for.
Result<ServeBenchResult> run_serve_bench(const ServeBenchOptions& options, const Clock& clock);

// The sum of the sizes of the *.safetensors files in a checkpoint's folder.
Result<int64_t> safetensors_bytes(const std::string& folder);

// Writes `text` to `path` whole; `flag` names it in the refusal.
Result<void> write_file(const std::string& path, std::string_view text, const std::string& flag);

}  // namespace erne::bench
