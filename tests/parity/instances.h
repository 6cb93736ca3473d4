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
  bool has_tiles = false;  // "tiles" of cpu/arithmetic.h
};

std::span<const Instance> instances();

}  // namespace erne::parity
