// Runs a ModelCase on an engine that nobody else uses, stepping it by hand: planning, computing,
// sampling and events are what a server's clients get, HTTP and text apart.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/status.h"
#include "bench/model_cases.h"
#include "engine/engine.h"

namespace erne::bench {

struct PhaseSample {
  double seconds = 0;
  int64_t tokens = 0;  // prefill: of the prompts; decode: generated
  int64_t steps = 0;
  OpCounters work = {};
};

// The prefill lasts until every sequence has its first token, the decode from there until every
// sequence has `new_tokens` more. Sequences that are through their prompt decode meanwhile, and
// these tokens count in neither phase.
struct CaseSample {
  PhaseSample prefill, decode;
  const PhaseSample& of(Phase phase) const { return phase == Phase::kPrefill ? prefill : decode; }
};

struct RunnerOptions {
  int num_tokens = 0;  // prompts are random ids below it
  double temperature = 0;
  uint64_t seed = 0;
};

class CaseRunner {
 public:
  // All outlive the runner. `counters` are those of the back end that the engine computes on.
  CaseRunner(engine::Engine& engine, const OpCounters& counters, const Clock& clock,
             RunnerOptions options)
      : engine_(engine), counters_(counters), clock_(clock), options_(options) {}

  // An error if a request is refused or fails, or ends before the others got going.
  Result<CaseSample> run(const ModelCase& model_case);

 private:
  struct Stream {
    sched::RequestId id = 0;
    std::shared_ptr<engine::TokenStream> events;
    int64_t tokens = 0;  // of this phase
    bool has_ended = false;
  };

  Result<std::vector<Stream>> submit(const ModelCase& model_case);
  // Steps until every stream has `tokens_each` tokens more. The sample's tokens: what all got.
  Result<PhaseSample> step_until(std::vector<Stream>& streams, int64_t tokens_each);
  Result<void> take_events(Stream& stream);

  engine::Engine& engine_;
  const OpCounters& counters_;
  const Clock& clock_;
  const RunnerOptions options_;
  uint64_t num_prompts_ = 0;  // made so far: each is another
};

}  // namespace erne::bench
