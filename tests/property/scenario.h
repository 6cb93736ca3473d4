// A random little world for the scheduler: limits, KV geometry, a fallible crowd of clients.
// Everything follows from the seed.
#pragma once

#include <cstdint>
#include <vector>

#include "base/counter_rng.h"
#include "sched/limits.h"
#include "sim/shadow_executor.h"

namespace erne::property {

class Dice {
 public:
  explicit Dice(uint64_t seed) : rng_(seed, 0) {}

  int between(int low, int high);  // both included
  bool one_in(int n) { return between(1, n) == 1; }
  template <class T>
  const T& of(const std::vector<T>& choices) {
    return choices[between(0, static_cast<int>(choices.size()) - 1)];
  }

 private:
  CounterRng rng_;
  uint64_t position_ = 0;
};

struct Client {
  sched::Request request;
  int arrival = 0;                // the step before which it comes
  int cancel = -1;                // the step in which it leaves; -1: stays
  bool cancel_in_flight = false;  // between plan and commit of that step, else before its plan
};

struct Scenario {
  sim::ShadowOptions shadow;
  sched::Limits limits;
  uint64_t key_mask = ~uint64_t{0};
  bool has_priorities = false;
  bool has_room_for_all = false;   // in the KV cache, at once
  int64_t all_tokens = 0;          // of all prompts and, at most, of all answers
  std::vector<int> token_budgets;  // of the steps, in turn
  std::vector<Client> clients;     // in order of arrival; ids ascend
};

Scenario make_scenario(uint64_t seed);

}  // namespace erne::property
