// Prometheus metrics under FastDeploy's names, so that existing dashboards work. Where Prometheus
// wants a counter to end in "_total" and FastDeploy's declaration lacks it, its Python client adds
// it, and so do we.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/request_memory.h"
#include "engine/engine_client.h"

namespace erne::server {

class Metrics {  // thread-safe
 public:
  Metrics();
  ~Metrics();

  void http_answered(std::string_view method, std::string_view route, int status, double seconds);
  void request_submitted(int prompt_tokens, int max_tokens);
  // One per token after the first.
  void inter_token(double seconds);
  void first_token(double since_submitted_s, double queued_s, double prefill_s);
  struct Finished {
    bool success;
    int generated_tokens;
    double inference_s;  // since first scheduled
    double decode_s;     // since the first token
    double total_s;      // since submitted
  };
  void request_finished(const Finished& finished);

  // The text that /metrics serves.
  std::string render(const engine::EngineStats& engine, const RequestMemory& memory);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Turns the events of one request of the engine into the metrics' figures. One thread at a time.
class RequestTimer {
 public:
  void on_event(Metrics& metrics, const engine::StreamEvent& event, int num_tokens);
  void on_finish(Metrics& metrics, bool success);

 private:
  int64_t submitted_us_ = 0, first_scheduled_us_ = 0;
  int64_t first_token_us_ = 0, last_token_us_ = 0, last_event_us_ = 0;
  int generated_tokens_ = 0;
};

}  // namespace erne::server
