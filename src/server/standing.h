// What probes of operators and load balancers ask: whether the server lives, has started, is ready,
// and how much it has to do. Answered at once, in every state, with no key.
#pragma once

#include <string>

#include "http/exchange.h"

namespace erne::server {

struct Standing {
  enum class State { kLoading, kServing, kDraining, kFailed };

  State state = State::kLoading;
  std::string version = {};              // of this program
  int num_admitted = 0;                  // requests in the server
  int num_running = 0, num_waiting = 0;  // sequences in the engine
};

http::Response answer_version(const Standing& standing);
http::Response answer_load(const Standing& standing);
http::Response answer_live(const Standing& standing);     // 503: only a restart helps
http::Response answer_startup(const Standing& standing);  // 503: the model is being loaded
http::Response answer_ready(const Standing& standing);    // 503: send requests elsewhere

}  // namespace erne::server
