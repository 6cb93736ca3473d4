#include "cuda/emulation/global_memory.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "base/check.h"
#include "cuda/emulation/fault.h"

namespace erne::cuda::emulation {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kGap = 256;  // behind each allocation, so that the next is not reached unnoticed

struct Allocation {
  explicit Allocation(size_t bytes) : bytes(bytes) {}
  size_t bytes;
  std::atomic<uint64_t> written = 0;  // when a kernel last did, as Allocations::launches counts
};

struct Allocations {
  std::mutex mutex;
  std::map<const std::byte*, Allocation> begin;  // by where they begin
  std::atomic<uint64_t> launches = 1;            // grows when all of them have ended
  size_t in_use = 0;
  uint64_t version = 0;
};

Allocations& allocations() {
  static Allocations all;
  return all;
}

}  // namespace

void* allocate_global(size_t bytes) {
  const size_t room = (bytes + kAlignment - 1) / kAlignment * kAlignment + kGap;
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(kAlignment, room));
  CHECK(memory != nullptr);
  std::memset(memory, 0, bytes);
  Allocations& all = allocations();
  const std::lock_guard lock(all.mutex);
  all.begin.try_emplace(memory, bytes);
  all.in_use += bytes;
  ++all.version;
  return memory;
}

void free_global(void* memory) {
  if (memory == nullptr) return;
  Allocations& all = allocations();
  const std::lock_guard lock(all.mutex);
  const auto found = all.begin.find(static_cast<std::byte*>(memory));
  CHECK(found != all.begin.end());
  all.in_use -= found->second.bytes;
  all.begin.erase(found);
  ++all.version;
  std::free(memory);
}

size_t global_bytes_in_use() {
  Allocations& all = allocations();
  const std::lock_guard lock(all.mutex);
  return all.in_use;
}

namespace {

// Allocations that were found last, since a kernel reads a few in turns.
struct Recent {
  struct Range {
    const std::byte* begin = nullptr;
    const std::byte* end = nullptr;
    Allocation* of = nullptr;
  };
  std::array<Range, 8> ranges;
  size_t next = 0;
  uint64_t version = 0;

  Allocation* find(const std::byte* at, size_t bytes) const {
    for (const Range& range : ranges)
      if (at >= range.begin && at + bytes <= range.end) return range.of;
    return nullptr;
  }
};

Allocation& checked(const void* address, size_t bytes, size_t alignment) {
  thread_local Recent recent;
  const auto* at = static_cast<const std::byte*>(address);
  if (reinterpret_cast<uintptr_t>(at) % alignment != 0)
    fault(
        fmt::format("global memory: an access of {} bytes at an address that is no multiple of {}",
                    bytes, alignment));
  Allocations& all = allocations();
  if (recent.version == all.version)
    if (Allocation* const found = recent.find(at, bytes)) return *found;
  const std::lock_guard lock(all.mutex);
  auto next = all.begin.upper_bound(at);
  if (next == all.begin.begin()) fault("global memory: an address that is not the device's");
  --next;
  Allocation& of = next->second;
  if (at + bytes > next->first + of.bytes)
    fault(fmt::format("global memory: {} bytes at offset {} of an allocation of {}", bytes,
                      at - next->first, of.bytes));
  if (recent.version != all.version) recent = {.ranges = {}, .next = 0, .version = all.version};
  recent.ranges[recent.next++ % recent.ranges.size()] = {next->first, next->first + of.bytes, &of};
  return of;
}

}  // namespace

void check_global(const void* address, size_t bytes, size_t alignment) {
  checked(address, bytes, alignment);
}

void check_global_read(const void* address, size_t bytes, size_t alignment, bool has_waited) {
  const Allocation& of = checked(address, bytes, alignment);
  if (!has_waited && of.written == allocations().launches)
    fault("global memory: reads what an earlier launch may not have written yet");
}

void check_global_write(const void* address, size_t bytes, size_t alignment, bool has_waited) {
  if (!has_waited) fault("global memory: writes what an earlier launch may still read");
  Allocations& all = allocations();
  checked(address, bytes, alignment)
      .written.store(all.launches.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

void end_launches() {
  ++allocations().launches;
}

}  // namespace erne::cuda::emulation
