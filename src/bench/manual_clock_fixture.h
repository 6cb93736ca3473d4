// For tests: time that passes when it is told to.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace erne::bench {

class ManualClock final : public Clock {
 public:
  int64_t now_us() const override { return now_us_; }
  void advance(int64_t us) { now_us_ += us; }

 private:
  int64_t now_us_ = 1000;
};

}  // namespace erne::bench
