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

#include "cuda/emulation/barriers.h"
#include "cuda/emulation/device_model.h"
#include "cuda/emulation/fiber.h"
#include "cuda/emulation/shared_memory.h"
#include "cuda/emulation/warpgroup_queue.h"

namespace erne::cuda::emulation {

inline constexpr int kWarpLanes = 32;
inline constexpr int kWarpgroupThreads = 128;
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
  void run(const DeviceModel& model, const char* kernel, Place block, Place grid, int threads,
           size_t shared_bytes, uint64_t order, const std::function<void()>& body);

  // Of the thread that runs.
  int thread() const { return running_; }
  Party party() const { return {running_ / kWarpLanes, running_ % kWarpLanes}; }
  Place place() const { return block_; }
  Place grid() const { return grid_; }
  int threads() const { return num_threads_; }
  const DeviceModel& model() const { return model_; }
  SharedMemory& shared() { return shared_; }
  std::string where() const;  // kernel, block, thread

  void wait_for_earlier() { all_threads_[running_]->has_waited = true; }
  bool has_waited() const { return all_threads_[running_]->has_waited; }
  void sync_block();
  // All lanes of a warp call with operands of their own; the last one performs the operation on all
  // of them, in lane order. `what` must be equal: lanes that have gone different ways are a fault.
  template <class Perform>
  void with_warp(const char* what, void* operand, const Perform& perform);
  // Likewise all threads of four warps, of which the first has a number that is a multiple of four.
  template <class Perform>
  void with_warpgroup(const char* what, void* operand, const Perform& perform);
  // Until it holds.
  template <class Holds>
  void wait_until(const char* what, const Holds& holds);

  // Copies that the running thread has begun and not waited for, in groups.
  void begin_copy(std::byte* to, const std::byte* from, size_t bytes, size_t valid_bytes);
  void close_copies();
  void finish_copies(size_t groups_left);

  // A fault on cards without bulk copies and warpgroup instructions.
  void check_is_hopper() const;
  Barriers& barriers() { return barriers_; }
  void wait_barrier(const void* barrier, int parity);
  // Of the running thread's warp, or of another.
  WarpgroupQueue& queue() { return queues_[running_ / kWarpLanes]; }
  WarpgroupQueue& queue(int warp) { return queues_[warp]; }
  uint64_t next_ticket() { return ++tickets_; }

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
  // Where threads come together for one instruction.
  template <int members>
  struct Meeting {
    const char* what = nullptr;
    int arrived = 0;
    uint64_t turn = 0;
    std::array<void*, members> operands = {};
  };

  template <int members, class Perform>
  void meet(Meeting<members>& meeting, const char* what, void* operand, const Perform& perform);
  void run_threads(uint64_t order);
  void end_thread(Thread& thread);
  [[noreturn]] void report_divergence(const char* what, const char* others) const;
  [[noreturn]] void report_deadlock() const;

  DeviceModel model_;
  const char* kernel_ = "";
  Place block_, grid_;
  int num_threads_ = 0, running_ = -1, ended_ = 0;
  uint64_t progress_ = 0;  // grows with each arrival anywhere
  int arrived_ = 0;        // at the block's barrier
  uint64_t turn_ = 0;      // of the block's barrier
  uint64_t tickets_ = 0;   // of warpgroup instructions
  SharedMemory shared_;
  Barriers barriers_{shared_};
  std::vector<std::unique_ptr<Thread>> all_threads_;
  std::vector<Meeting<kWarpLanes>> warps_;
  std::vector<Meeting<kWarpgroupThreads>> warpgroups_;
  std::vector<WarpgroupQueue> queues_;  // of each warp
};

template <class Holds>
void Block::wait_until(const char* what, const Holds& holds) {
  Thread& self = *all_threads_[running_];
  self.waits_for = what;
  while (!holds()) self.fiber.pause();
  self.waits_for = nullptr;
  ++progress_;
}

template <int members, class Perform>
void Block::meet(Meeting<members>& meeting, const char* what, void* operand,
                 const Perform& perform) {
  if (meeting.arrived == 0) meeting.what = what;
  if (meeting.what != what) report_divergence(what, meeting.what);
  meeting.operands[running_ % members] = operand;
  ++progress_;
  const uint64_t turn = meeting.turn;
  if (++meeting.arrived == members) {
    perform(meeting.operands);
    meeting.arrived = 0;
    ++meeting.turn;
    return;
  }
  wait_until(what, [&meeting, turn] { return meeting.turn != turn; });
}

template <class Perform>
void Block::with_warp(const char* what, void* operand, const Perform& perform) {
  meet(warps_[running_ / kWarpLanes], what, operand, perform);
}

template <class Perform>
void Block::with_warpgroup(const char* what, void* operand, const Perform& perform) {
  meet(warpgroups_[running_ / kWarpgroupThreads], what, operand, perform);
}

// The block whose thread runs here; a fault where none does.
Block& current_block();

// Runs every block of a grid, one after the other, and `body` in each of its threads.
void run_grid(const DeviceModel& model, const char* kernel, Place grid, int threads,
              size_t shared_bytes, const std::function<void()>& body);

}  // namespace erne::cuda::emulation
