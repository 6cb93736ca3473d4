#include <cstring>

#include "bench/limits_kernels.h"

namespace erne::bench {

uint64_t read_portable(const void* data, size_t bytes) {
  const char* first = static_cast<const char*>(data);
  const size_t stream_bytes = bytes / 4;
  uint64_t sum = 0;
  for (size_t at = 0; at < stream_bytes; at += 64) {
    for (size_t stream = 0; stream < 4; ++stream) {
      const char* line = first + stream * stream_bytes + at;
      __builtin_prefetch(line + 2048);
      uint64_t words[8];
      std::memcpy(words, line, sizeof words);
      for (const uint64_t word : words) sum ^= word;
    }
  }
  return sum;
}

}  // namespace erne::bench
