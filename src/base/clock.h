// Time as a parameter: the server passes the machine's clock, the simulator its own.
#pragma once

#include <cstdint>

namespace erne {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t now_us() const = 0;  // monotonic; the origin is arbitrary
};

class SteadyClock final : public Clock {
 public:
  int64_t now_us() const override;
};

}  // namespace erne
