// The lanes of AVX-512 where products of pairs of bfloat16 are one instruction, for
// ERNE_LANES_FILE.
#pragma once

#include "cpu/lanes/avx512_dots.h"
#include "cpu/lanes/avx512_lanes.h"

namespace erne::cpu {
namespace {

constexpr bool kMultipliesPairs = true;

ERNE_INLINE Words load_pairs(const Bf16* pair) {
  Words words;
  __builtin_memcpy(&words, pair, sizeof(words));
  return words;
}
ERNE_INLINE Words spread_pair(const Bf16* pair) {
  uint32_t word;
  __builtin_memcpy(&word, pair, sizeof(word));
  return Words{word, word, word, word, word, word, word, word,
               word, word, word, word, word, word, word, word};
}
// What VDPBF16PS does.
ERNE_INLINE void add_pair_products(Floats& sum, Words x, Words w) {
#ifdef __AVX512BF16__
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
#else
  add_product(sum, bits_of<Floats>(x & 0xFFFF0000u), bits_of<Floats>(w & 0xFFFF0000u));
  add_product(sum, bits_of<Floats>(x << 16), bits_of<Floats>(w << 16));
#endif
}

}  // namespace
}  // namespace erne::cpu
