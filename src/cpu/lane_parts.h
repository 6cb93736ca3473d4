// Rows whose length is no multiple of sixteen, in terms of F16. Included by a kernel file after its
// lanes; everything is internal to that file.
#pragma once

#include <cstdint>

#include "cpu/arithmetic.h"

namespace erne::cpu {
namespace {

inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// The first `count` lanes, at most 16; the others are 0 and not stored.
template <class T>
ERNE_LANES F16 load_part(const T* p, int64_t count) {
  if (count >= kLanes) return load(p);
  T lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return load(lanes);
}
template <class T>
ERNE_LANES void store_part(T* p, F16 v, int64_t count) {
  if (count >= kLanes) return store(p, v);
  T lanes[kLanes];
  store(lanes, v);
  for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}

}  // namespace
}  // namespace erne::cpu
