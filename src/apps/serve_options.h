// What `erne serve` and `erne chat` can be told, as one struct filled from one table (options.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/device_options.h"

namespace erne::apps {

struct ServeOptions : DeviceOptions {
  // What to serve
  std::string model;
  std::string served_model_name;
  std::string tokenizer;
  std::string chat_template;
  std::string reasoning_parser = "auto", tool_call_parser = "auto";
  std::string load_choices = "default_v1";
  std::string dtype = "bfloat16";
  std::string quantization = "none";
  std::string quantized_activations = "auto";
  std::string weight_cache;  // folder; empty: none
  bool skip_tokenizer_init = false;
  int64_t seed = 0;

  // Where to listen
  std::string host = "0.0.0.0";
  int64_t port = 8000;
  int64_t metrics_port = 0;  // 0: on the main port
  std::vector<std::string> api_keys;
  std::vector<std::string> allowed_origins;  // none given: any without keys, none with
  std::vector<std::string> allowed_methods, allowed_headers;  // none given: any
  bool allow_credentials = false;
  bool web = true;
  int64_t max_concurrency = 2048;
  int64_t workers = 4;
  int64_t max_logprobs = 20;
  int64_t max_request_memory = 0;  // bytes; 0: chosen
  int64_t max_reply_bytes = 32 << 20;
  int64_t max_text_wait = 30;             // seconds
  int64_t timeout_graceful_shutdown = 0;  // seconds; 0: no limit

  // How much at once
  int64_t max_model_len = 0;  // 0: 2048 or the model's own limit, whichever is less
  int64_t max_num_seqs = 8;
  int64_t max_num_batched_tokens = 0;    // 0: chosen
  int64_t max_num_partial_prefills = 0;  // 0: as many as sequences
  int64_t max_long_partial_prefills = 1;
  int64_t long_prefill_token_threshold = 0;  // 0: chosen
  int64_t block_size = 64;
  std::string kv_cache_dtype = "auto";
  int64_t num_gpu_blocks_override = 0;  // 0: chosen
  double swap_space = 0;                // GiB of host memory; 0: no CPU tier
  double gpu_memory_utilization = 0.9;
  double kv_cache_ratio = 0.75;
  double max_decode_slowdown = 2.5;  // inf: none
  bool enable_prefix_caching = true;
  bool enable_chunked_prefill = true;
};

}  // namespace erne::apps
