// Runs a scenario through the scheduler with the shadow executor and checks, of every request and
// every step, what must hold whatever the limits and budgets:
//   (a) its text, its logprobs and its end equal plain sequential evaluation, whatever shared its
//   steps; (b) the invariants of scheduler and cache hold after every plan, cancellation and
//   commit; (c) every request that fits alone finishes, every other one is refused at once; (d) no
//   plan exceeds a limit or its budget, and every running sequence advances in every step; (e) same
//   seed, same plans, byte for byte (the digest); (f) every request ends in exactly one event, and
//   all blocks are back at the end; (g) no step scores more prompt tokens, or leaves more prompts
//   unfinished, than the limits say; (h) where rows alone are short, clients share them evenly, and
//   nobody waits for more steps than all requests together have tokens.
#pragma once

#include <cstdint>
#include <string>

#include "scenario.h"

namespace erne::property {

struct Outcome {
  std::string fault;    // empty: everything held
  uint64_t digest = 0;  // of all plans
  int steps = 0;
  // How much of the interesting behaviour the scenario met.
  int64_t preemptions = 0, cached_tokens = 0, copies = 0, accepted_drafts = 0, rejected_drafts = 0;
  int cancelled = 0, refused = 0, chunked_rows = 0;
  int waits_for_a_row = 0;  // of a request in a step that had a row for others
  double longest_wait = 0;  // in steps, for each token of all requests
  int cut_steps = 0;        // ended sooner than the limits ask, with a prompt left: by their budget
};

Outcome run_scenario(const Scenario& scenario);

}  // namespace erne::property
