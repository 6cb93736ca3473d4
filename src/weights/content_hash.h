// Checksums of what files hold, made while the bytes go by.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/hash.h"

namespace erne::weights {

// Bytes are hashed in steps of this size, the last one shorter: few enough to be still in the
// processor's cache when they are copied as well.
inline constexpr size_t kHashStep = 1 << 20;

// Calls visit(step) for the steps of `bytes` in order.
template <class Visit>
void for_each_step(std::span<const std::byte> bytes, Visit visit) {
  for (size_t at = 0; at < bytes.size(); at += kHashStep)
    visit(bytes.subspan(at, std::min(kHashStep, bytes.size() - at)));
}

// xxHash3 of 64 bits of every step, each seeded with the one before it, the first with a name: the
// same bytes under another name, or in another order, give another value. It finds accidents, not
// forgery.
class ContentHash {
 public:
  explicit ContentHash(std::string_view name) : value_(hash_bytes(name.data(), name.size())) {}
  // A step of for_each_step.
  void add(std::span<const std::byte> step) {
    value_ = hash_bytes(step.data(), step.size(), value_);
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_;
};

inline uint64_t content_hash(std::string_view name, std::span<const std::byte> bytes) {
  ContentHash hash(name);
  for_each_step(bytes, [&](auto step) { hash.add(step); });
  return hash.value();
}

}  // namespace erne::weights
