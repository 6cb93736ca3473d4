// One block of threads, run as fibers on the calling thread of the host. Threads take turns in an
// order that differs from launch to launch; each runs until it has to wait for others. Where all
// wait and nobody can go on, the program stops and says who waits for what.
//
// What a kernel's code calls (cuda/language/emulated.h) speaks of the thread that runs just then.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/emulation/fiber.h"
#include "cuda/emulation/shared_memory.h"

namespace erne::cuda::emulation {

inline constexpr int kWarpLanes = 32;
inline constexpr int kMaxThreads = 1024;

struct Place {
  int x = 0, y = 0, z = 0;
};

class Block {
 public:
  Block();
  ~Block();

  // Runs `body` once for each of `threads` threads. `kernel` is for messages; `order` chooses whose
  // turn it is first.
  void run(const char* kernel, Place block, Place grid, int threads, size_t shared_bytes,
           uint64_t order, const std::function<void()>& body);

  // Of the thread that runs.
  int thread() const { return running_; }
  Party party() const { return {running_ / kWarpLanes, running_ % kWarpLanes}; }
  Place place() const { return block_; }
  Place grid() const { return grid_; }
  int threads() const { return num_threads_; }
  SharedMemory& shared() { return shared_; }
  std::string where() const;  // kernel, block, thread

  void wait_for_earlier() { all_threads_[running_]->has_waited = true; }
  bool has_waited() const { return all_threads_[running_]->has_waited; }
  void sync_block();
  // All lanes of a warp call with operands of their own; the last one performs the operation on all
  // of them, in lane order. `what` must be equal: lanes that have gone different ways are a fault.
  using Operands = std::array<void*, kWarpLanes>;
  template <class Perform>
  void with_warp(const char* what, void* operand, const Perform& perform);
  // Until it holds.
  template <class Holds>
  void wait_until(const char* what, const Holds& holds);

  // Copies that the running thread has begun and not waited for, in groups.
  void begin_copy(std::byte* to, const std::byte* from, size_t bytes, size_t valid_bytes);
  void close_copies();
  void finish_copies(size_t groups_left);

 private:
  struct Copy {
    std::byte* to;
    std::vector<std::byte> content;  // as it was when the copy began
  };
  struct Thread {
    Fiber fiber;
    const char* waits_for = nullptr;
    bool has_waited = false;  // for the launches before
    std::vector<std::vector<Copy>> groups;
    std::vector<Copy> open_group;

    bool has_copies() const {
      return !open_group.empty() ||
             std::ranges::any_of(groups, [](const auto& group) { return !group.empty(); });
    }
  };
  struct Warp {
    const char* what = nullptr;
    int arrived = 0;
    uint64_t turn = 0;
    Operands operands = {};
  };

  void run_threads(uint64_t order);
  [[noreturn]] void report_divergence(const char* what, const char* others) const;
  [[noreturn]] void report_deadlock() const;

  const char* kernel_ = "";
  Place block_, grid_;
  int num_threads_ = 0, running_ = -1, ended_ = 0;
  uint64_t progress_ = 0;  // grows with each arrival anywhere
  int arrived_ = 0;        // at the block's barrier
  uint64_t turn_ = 0;      // of the block's barrier
  SharedMemory shared_;
  std::vector<std::unique_ptr<Thread>> all_threads_;
  std::vector<Warp> warps_;
};

template <class Holds>
void Block::wait_until(const char* what, const Holds& holds) {
  Thread& self = *all_threads_[running_];
  self.waits_for = what;
  while (!holds()) self.fiber.pause();
  self.waits_for = nullptr;
  ++progress_;
}

template <class Perform>
void Block::with_warp(const char* what, void* operand, const Perform& perform) {
  Warp& warp = warps_[running_ / kWarpLanes];
  if (warp.arrived == 0) warp.what = what;
  if (warp.what != what) report_divergence(what, warp.what);
  warp.operands[running_ % kWarpLanes] = operand;
  ++progress_;
  const uint64_t turn = warp.turn;
  if (++warp.arrived == kWarpLanes) {
    perform(warp.operands);
    warp.arrived = 0;
    ++warp.turn;
    return;
  }
  wait_until(what, [&warp, turn] { return warp.turn != turn; });
}

// The block whose thread runs here; a fault where none does.
Block& current_block();

// Runs every block of a grid, one after the other, and `body` in each of its threads.
void run_grid(const char* kernel, Place grid, int threads, size_t shared_bytes,
              const std::function<void()>& body);

}  // namespace erne::cuda::emulation
