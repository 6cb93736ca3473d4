// The warpgroup instructions of one warp that have begun (PTX ISA, "wgmma.mma_async"): they read
// shared memory and have registers until the warp has waited for their group. A fence of the warp
// must lie between its own use of registers and theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "cuda/emulation/fault.h"
#include "cuda/emulation/shared_memory.h"

namespace erne::cuda::emulation {

// What is known of registers of one thread that such instructions take.
struct RegisterUse {
  static constexpr uint64_t kNever = UINT64_MAX;
  uint64_t fences = kNever;  // of the warp, when the thread itself last used them
  uint64_t ticket = 0;       // of the instruction in flight that has them

  void by_thread(uint64_t fences_now) {
    if (ticket != 0) fault("registers that a warpgroup instruction in flight has");
    fences = fences_now;
  }
};

class WarpgroupQueue {
 public:
  uint64_t fences() const { return fences_; }
  void fence() { ++fences_; }

  void check_registers(const RegisterUse& use) const {
    if (use.fences == fences_)
      fault("a warpgroup instruction with registers that were used since the last fence");
  }
  // Ended by wait(). pieces: of shared memory, that `party` reads.
  void begin(SharedMemory& shared, Party party, SharedMemory::Pieces pieces,
             std::vector<RegisterUse*> registers, uint64_t ticket) {
    shared.begin_async_read(party, pieces, ticket);
    for (RegisterUse* use : registers) use->ticket = ticket;
    open_.push_back({ticket, std::move(pieces), std::move(registers)});
  }
  void commit() { groups_.push_back(std::exchange(open_, {})); }
  void wait(SharedMemory& shared, int warp, size_t groups_left) {
    for (; groups_.size() > groups_left; groups_.pop_front())
      for (const Instruction& instruction : groups_.front()) {
        shared.end_async_read(warp, instruction.pieces, instruction.ticket);
        for (RegisterUse* use : instruction.registers)
          if (use->ticket == instruction.ticket) use->ticket = 0;
      }
  }
  bool is_idle() const { return open_.empty() && groups_.empty(); }

 private:
  struct Instruction {
    uint64_t ticket;
    SharedMemory::Pieces pieces;
    std::vector<RegisterUse*> registers;
  };

  uint64_t fences_ = 0;
  std::vector<Instruction> open_;
  std::deque<std::vector<Instruction>> groups_;
};

}  // namespace erne::cuda::emulation
