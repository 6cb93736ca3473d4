// What the operator decides about the server. apps/serve fills it from flags and the checkpoint.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "http/server.h"
#include "sched/request.h"
#include "server/delta_parser.h"
#include "server/parsers/tag_style.h"

namespace erne::server {

// For what a request leaves out: generation_config.json's values, else these, which are
// FastDeploy's.
struct SamplingDefaults {
  float temperature = 1.0f;
  float top_p = 0.7f;
  int top_k = 0;  // off
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
  float frequency_penalty = 0.0f;
  float presence_penalty = 0.0f;
};

// Where to listen and to whom: known before the model is.
struct ListenOptions {
  std::string host = "0.0.0.0";
  int port = 8000;                    // 0: a free one
  std::optional<int> metrics_port;    // a second port for probes and /metrics alone; 0: a free one
  std::vector<std::string> api_keys;  // empty: no credentials asked for
  http::CorsPolicy cors;
  http::Limits http;
  bool web = true;  // the web page at /
  int num_io_threads = 2;
  std::string version;  // of this program
};

struct ServerOptions {
  std::string model_name = "erne";              // in replies, where no served names are given
  std::vector<std::string> served_model_names;  // a request's `model` must be one of them or
                                                // "default"; empty: any is accepted
  int max_concurrency = 2048;                   // requests at once; beyond: 429

  int max_model_len = 2048;             // tokens, prompt and output
  int vocab_size = 0;                   // ids a client may name are below it
  std::vector<sched::TokenId> eos_ids;  // end a sequence, unless ignore_eos
  SamplingDefaults defaults;
  int max_logprobs = 20;
  std::optional<uint64_t> seed;  // of requests without one; absent: different in every process
  std::string chat_template;     // its text, for /tokenizer_info
  TagStyle tags;                 // that tell a chat's text apart
  MakeDeltaParser make_parser;   // of chats, instead of those for tags

  size_t max_request_memory = size_t{1} << 30;      // of all requests' work together; beyond: 503
  size_t max_stored_bytes = size_t{64} << 20;       // of responses that clients may come back to
  std::chrono::seconds stored_for{3600};            // since one was last asked for
  size_t max_reply_bytes = size_t{32} << 20;        // of one request; what would be more is a 400
  std::chrono::milliseconds max_text_wait{30'000};  // for a text thread; then 503
  int num_text_threads = 4;      // for short texts; half as many are for long ones
  int num_delivery_threads = 2;  // for what the engine has computed
};

}  // namespace erne::server
