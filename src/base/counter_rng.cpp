#include "base/counter_rng.h"

namespace erne {

std::array<uint32_t, 4> CounterRng::words(uint64_t position) const {
  std::array<uint32_t, 4> c = {
      static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32),
      static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key_);
  uint32_t k1 = static_cast<uint32_t>(key_ >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;  // Weyl constants of the paper
    k1 += 0xBB67AE85;
  }
  return c;
}

double CounterRng::uniform(uint64_t position, int lane) const {
  const auto w = words(position);
  const uint64_t bits = uint64_t{w[2 * lane]} << 32 | w[2 * lane + 1];
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

}  // namespace erne
