// How many tokens the next step may compute, so that the prompts in it do not hold up the sequences
// that decode: a step with prompts is to take `slowdown` times what decoding alone takes. Learns
// from the steps' times what a machine and a model can do; no constant here is a speed.
//
//   time of a step = idle(decode tokens) + prompt tokens * cost
//
// idle: from steps without prompts, per number of decode tokens. Where prompts never end, one step
// in 32 carries next to none, to see it again; and so does one after a step that was faster.
// cost: from the other steps. It is the slope from idle to where the last steps were, so it is
// right there even where time is not linear (a few tokens more are free while memory is what a step
// waits for). What has not been tried may cost more: a budget grows from step to step only as far
// as would meet the target if all of a step's time were its prompts'.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "engine/recent_median.h"

namespace erne::engine {

struct StepTime {
  int decode_tokens = 0, prompt_tokens = 0;
  int64_t us = 0;
};

inline constexpr double kNoPacing = std::numeric_limits<double>::infinity();

class StepPacer {
 public:
  // slowdown: at least 1. With kNoPacing every step may take max_tokens.
  StepPacer(double slowdown, int max_tokens);

  // Most tokens of the next step, in which sequences decode `decode_tokens`. Where none does: all.
  int budget(int decode_tokens);
  // What became of that step.
  void observe(const StepTime& step);

 private:
  static constexpr int kFirstChunk = 8;          // prompt tokens of the first mixed step
  static constexpr int kLeastChunk = 2;          // as little as a step may slow down, prompts go on
  static constexpr int kStepsBetweenLooks = 32;  // with prompts; then one to see idle again

  RecentMedian& idle_us(int decode_tokens);
  int chunk(double idle_us) const;
  void observe_mixed(const StepTime& step, double idle_us);

  const double slowdown_;
  const int max_tokens_;
  std::vector<RecentMedian> idle_us_;  // by decode tokens
  RecentMedian cost_us_;               // of a prompt token
  int mixed_steps_ = 0;                // since idle was seen
  int reach_ = kFirstChunk;            // largest chunk to try next
  int chunk_ = 0;                      // prompt tokens in the last budget; 0: to see idle
};

}  // namespace erne::engine
