#include "cuda/emulation/barriers.h"

#include <algorithm>

#include "cuda/emulation/fault.h"

namespace erne::cuda::emulation {

void Barriers::end_block() const {
  for (const Barrier& barrier : all_)
    if (barrier.phases_with_bytes > barrier.phases_waited_for)
      fault("a block ends before a bulk copy of it has been waited for");
}

void Barriers::make(Party party, const void* address, int arrivals) {
  shared_.check_write(party, address, kBytes, kBytes);
  if (arrivals < 1) fault("a barrier that counts no arrivals");
  if (all_.size() == SharedMemory::kMostBarriers) fault("more barriers than the emulation has");
  for (const Barrier& barrier : all_)
    if (barrier.address == address) fault("a barrier is made where there is one");
  all_.push_back({address, arrivals, arrivals});
}

int Barriers::find(const void* address) const {
  const auto found = std::ranges::find(all_, address, &Barrier::address);
  if (found == all_.end()) fault("shared memory: there is no barrier at this place");
  return static_cast<int>(found - all_.begin());
}

Barriers::Barrier& Barriers::of(Party party, const void* address) {
  Barrier& barrier = all_[find(address)];
  shared_.check_read(party, address, kBytes, kBytes);
  return barrier;
}

void Barriers::arrive(Party party, const void* address, int64_t bytes) {
  Barrier& barrier = of(party, address);
  if (barrier.arrivals_left == 0) fault("more arrivals than the barrier counts");
  barrier.bytes_left += bytes;
  --barrier.arrivals_left;
  shared_.release(party.warp, barrier.arriving);
  end_phase_if_over(find(address));
}

void Barriers::end_phase_if_over(int index) {
  Barrier& barrier = all_[index];
  if (barrier.arrivals_left > 0 || barrier.bytes_left != 0) return;
  shared_.phase_over(index, barrier.phase, barrier.arriving);
  barrier.over = barrier.arriving;
  barrier.arrivals_left = barrier.arrivals;
  ++barrier.phase;
}

bool Barriers::is_over(const void* address, int parity) const {
  return static_cast<int>(all_[find(address)].phase % 2) != parity;
}

void Barriers::end_wait(Party party, const void* address) {
  Barrier& barrier = of(party, address);
  barrier.phases_waited_for = barrier.phase;
  shared_.acquire(party.warp, barrier.over);
}

void Barriers::write(Party party, const void* barrier, const void* address) {
  const int index = find(barrier);
  shared_.async_write(party, address, index, all_[index].phase);
}

void Barriers::count_bytes(Party party, const void* address, int64_t bytes) {
  Barrier& barrier = of(party, address);
  shared_.check_async_read(party, address, kBytes);
  barrier.bytes_left -= bytes;
  barrier.phases_with_bytes = barrier.phase + 1;
  end_phase_if_over(find(address));
}

}  // namespace erne::cuda::emulation
