// The size of the largest of some activations, which the scales of int8 and fp8 rows come from.
// Everything is internal to the kernel file that includes this.
#pragma once

#include <cstdint>

#include "cpu/lanes/lane_parts.h"
#include "cpu/lanes/lanes.h"

namespace erne::cpu {
namespace {

struct Extent {
  float largest;  // |x|
  float damage;   // 0, or NaN where an x is not finite
};

template <class T>
Extent extent_of(const T* x, int64_t count) {
  Floats most = broadcast(0), poison = broadcast(0);
  for (int64_t i = 0; i < count; i += kLanes) {
    const Floats v = load_part(x + i, count - i);
    most = max_of(most, absolute(v));
    poison = fma(v, broadcast(0), poison);
  }
  return {largest(most), combine(poison)};
}

}  // namespace
}  // namespace erne::cpu
