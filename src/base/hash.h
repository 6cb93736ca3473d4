// 64-bit hashing that gives the same value on every machine and in every process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace erne {

// xxHash3 of the bytes, seeded. Not for use against an adversary across tenants.
uint64_t hash_bytes(const void* data, size_t bytes, uint64_t seed = 0);

// The splitmix64 finaliser: a bijection that spreads every bit.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

constexpr uint64_t hash_combine(uint64_t a, uint64_t b) {
  return mix64(mix64(a) ^ (b * 0xD6E8FEB86659FD93ull));
}

}  // namespace erne
