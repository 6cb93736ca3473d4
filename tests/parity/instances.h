// The back ends under test. One that this machine cannot run is still listed, so that its cases
// count as skipped and not as passed.
#pragma once

#include <memory>
#include <span>

#include "backend/backend.h"

namespace erne::parity {

struct Instance {
  const char* name;
  bool (*available)();
  std::unique_ptr<Backend> (*make)(int threads);
  bool is_slow = false;
  const char* arithmetic = "cpu";  // instances of one give equal bits
  bool has_tiles = false;          // "tiles" of cpu/arithmetic.h
};

std::span<const Instance> instances();

inline constexpr int kThreads = 2;  // that the suites give each

}  // namespace erne::parity
