// The barrier objects that a block keeps in its shared memory (PTX ISA, "mbarrier"). A phase is
// over when as many arrivals came as the object counts and as many bytes of bulk copies as arrivals
// announced; the next one begins at once. Who waits for a phase knows what those knew who arrived
// in it, and the bytes that came. It stops the program at
//   - a use of an object that nobody has made, or that its maker has not fenced and a copy uses;
//   - more arrivals than it counts;
//   - a block that ends while a phase has bytes that nobody waited for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/emulation/shared_memory.h"

namespace erne::cuda::emulation {

class Barriers {
 public:
  static constexpr size_t kBytes = 8;

  explicit Barriers(SharedMemory& shared) : shared_(shared) {}

  void begin_block() { all_.clear(); }
  void end_block() const;

  void make(Party party, const void* address, int arrivals);
  // Announces `bytes` and arrives.
  void arrive(Party party, const void* address, int64_t bytes);
  // Whether the phase of this parity is over: of an object whose first phase lasts, that of 1.
  bool is_over(const void* address, int parity) const;
  // To be called by who has seen that.
  void end_wait(Party party, const void* address);

  // A bulk copy: each kPiece bytes of it go through write(), and then all of them count.
  void write(Party party, const void* barrier, const void* address);
  void count_bytes(Party party, const void* barrier, int64_t bytes);

 private:
  struct Barrier {
    const void* address;
    int arrivals, arrivals_left;
    int64_t bytes_left = 0;
    uint64_t phase = 0;
    uint64_t phases_with_bytes = 0, phases_waited_for = 0;  // those before
    SharedMemory::Clock arriving = {}, over = {};
  };

  int find(const void* address) const;
  Barrier& of(Party party, const void* address);
  void end_phase_if_over(int index);

  SharedMemory& shared_;
  std::vector<Barrier> all_;
};

}  // namespace erne::cuda::emulation
