#include "engine/step_pacer.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace erne::engine {

StepPacer::StepPacer(double slowdown, int max_tokens)
    : slowdown_(slowdown), max_tokens_(max_tokens) {
  CHECK_GE(slowdown, 1);
}

int StepPacer::budget(int decode_tokens) {
  chunk_ = max_tokens_;
  if (slowdown_ == kNoPacing || decode_tokens == 0) return max_tokens_;
  const RecentMedian& idle = idle_us(decode_tokens);
  const bool look = idle.empty() || mixed_steps_ >= kStepsBetweenLooks;
  chunk_ = look ? 0 : chunk(idle.value());
  return std::min(decode_tokens + chunk_, max_tokens_);
}

int StepPacer::chunk(double idle_us) const {
  const double room_us = (slowdown_ - 1) * idle_us;
  const double cost_us = cost_us_.value();
  if (cost_us * reach_ <= room_us) return reach_;
  return std::max(static_cast<int>(room_us / cost_us), kLeastChunk);
}

void StepPacer::observe(const StepTime& step) {
  if (slowdown_ == kNoPacing || step.decode_tokens == 0) return;
  RecentMedian& idle = idle_us(step.decode_tokens);
  if (step.prompt_tokens > 0 && chunk_ > 0) {
    if (!idle.empty()) observe_mixed(step, idle.value());
    return;
  }
  // Even a step to see idle carries one token of each prompt that has begun.
  const double prompts_us = step.prompt_tokens * cost_us_.value();
  idle.add(std::max(step.us - prompts_us, step.us / 2.0));
  mixed_steps_ = 0;
}

void StepPacer::observe_mixed(const StepTime& step, double idle_us) {
  ++mixed_steps_;
  if (step.us < idle_us) {  // the machine has become faster: what is known misleads
    mixed_steps_ = kStepsBetweenLooks;
    return;
  }
  const double target_us = slowdown_ * idle_us;
  // Far fewer than allowed, a prompt's last tokens, say little about a full chunk, unless they
  // took too long already.
  const bool full = 2 * step.prompt_tokens >= chunk_;
  if (!full && step.us <= target_us) return;
  cost_us_.add((step.us - idle_us) / step.prompt_tokens);
  if (!full) return;
  const double growth = step.us > 0
                            ? std::clamp(target_us / static_cast<double>(step.us), 1.0, slowdown_)
                            : slowdown_;
  const double reach = std::ceil(step.prompt_tokens * growth);
  reach_ = static_cast<int>(std::min<double>(reach, max_tokens_));
}

RecentMedian& StepPacer::idle_us(int decode_tokens) {
  const auto index = static_cast<size_t>(decode_tokens);
  if (index >= idle_us_.size()) idle_us_.resize(index + 1);
  return idle_us_[index];
}

}  // namespace erne::engine
