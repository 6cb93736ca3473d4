// Rows whose length is no multiple of sixteen, in terms of Floats. Everything is
// internal to the kernel file that includes this.
#pragma once

#include <cstdint>

#include "cpu/arithmetic.h"
#include "cpu/lanes/lanes.h"

namespace erne::cpu {
namespace {

inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// The first `count` lanes, at most 16; the others are 0 and not stored.
template <class T>
ERNE_INLINE Floats load_part(const T* p, int64_t count) {
  if (count >= kLanes) return load(p);
  T lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return load(lanes);
}
template <class T>
ERNE_INLINE void store_part(T* p, Floats v, int64_t count) {
  if (count >= kLanes) return store(p, v);
  T lanes[kLanes];
  store(lanes, v);
  for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}

}  // namespace
}  // namespace erne::cpu
