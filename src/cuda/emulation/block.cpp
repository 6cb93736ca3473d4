#include "cuda/emulation/block.h"

#include <fmt/format.h>
#include <xmmintrin.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "cuda/emulation/fault.h"
#include "cuda/emulation/launch_count.h"

namespace erne::cuda::emulation {
namespace {

// MXCSR: no exceptions, rounding to nearest, denormals are zero as input and as output.
constexpr unsigned kDeviceArithmetic = 0x9FC0;

thread_local Block* running_block = nullptr;
thread_local uint64_t launches = 0;

}  // namespace

void fault(const std::string& what) {
  const std::string where = running_block ? running_block->where() : "outside of any kernel";
  std::fprintf(stderr, "emulated device: %s: %s\n", where.c_str(), what.c_str());
  std::abort();
}

Block& current_block() {
  if (running_block == nullptr) fault("code of a device runs on the host");
  return *running_block;
}

Block::Block() = default;
Block::~Block() = default;

std::string Block::where() const {
  return fmt::format("{}, block ({}, {}, {}), thread {}", kernel_, block_.x, block_.y, block_.z,
                     running_);
}

void Block::run(const DeviceModel& model, const char* kernel, Place block, Place grid, int threads,
                size_t shared_bytes, uint64_t order, const std::function<void()>& body) {
  CHECK(threads > 0 && threads <= kMaxThreads && threads % kWarpLanes == 0);
  model_ = model;
  kernel_ = kernel;
  block_ = block;
  grid_ = grid;
  num_threads_ = threads;
  ended_ = arrived_ = 0;
  shared_.begin_block(shared_bytes, threads / kWarpLanes);
  barriers_.begin_block();
  warps_.assign(threads / kWarpLanes, {});
  warpgroups_.assign(threads / kWarpgroupThreads + 1, {});
  queues_.assign(threads / kWarpLanes, {});
  while (std::ssize(all_threads_) < threads) all_threads_.push_back(std::make_unique<Thread>());
  for (int i = 0; i < threads; ++i) {
    all_threads_[i]->fiber.start(body);
    all_threads_[i]->has_waited = false;
  }

  Block* const outer = std::exchange(running_block, this);
  run_threads(order);
  barriers_.end_block();
  running_block = outer;
}

void Block::run_threads(uint64_t order) {
  const int num_warps = num_threads_ / kWarpLanes;
  while (ended_ < num_threads_) {
    const uint64_t before = progress_;
    for (int w = 0; w < num_warps; ++w) {
      const int warp = static_cast<int>((w + order) % num_warps);
      for (int i = 0; i < kWarpLanes; ++i) {
        const int lane = static_cast<int>((i + order / 7) % kWarpLanes);
        running_ = warp * kWarpLanes + lane;
        Thread& thread = *all_threads_[running_];
        if (thread.fiber.done()) continue;
        thread.fiber.resume();
        if (thread.fiber.done()) end_thread(thread);
      }
    }
    if (progress_ == before) report_deadlock();
  }
}

void Block::end_thread(Thread& thread) {
  ++ended_;
  ++progress_;
  // The launch behind this one waits for this one alone.
  if (!thread.has_waited) fault("a thread ends before it has waited for earlier launches");
  if (thread.has_copies()) fault("a thread ends before its copies have been waited for");
  if (!queue().is_idle())
    fault("a thread ends before its warpgroup instructions have been waited for");
  thread.groups.clear();
}

void Block::report_deadlock() const {
  std::string waiting;
  for (int i = 0; i < num_threads_; ++i)
    if (!all_threads_[i]->fiber.done())
      waiting += fmt::format("\n  thread {} waits for {}", i, all_threads_[i]->waits_for);
  fault("no thread can go on" + waiting);
}

void Block::report_divergence(const char* what, const char* others) const {
  fault(fmt::format("{}, where other lanes of the warp are at {}", what, others));
}

void Block::sync_block() {
  if (ended_ > 0) fault("a barrier of the block, and threads of it have ended");
  ++progress_;
  const uint64_t turn = turn_;
  if (++arrived_ == num_threads_) {
    arrived_ = 0;
    ++turn_;
    shared_.order_block();
    return;
  }
  wait_until("the block's barrier", [&] { return turn_ != turn; });
}

void Block::begin_copy(std::byte* to, const std::byte* from, size_t bytes, size_t valid_bytes) {
  shared_.begin_copy(party(), to, bytes);
  Copy copy{to, std::vector<std::byte>(bytes)};
  std::copy_n(from, valid_bytes, copy.content.begin());
  all_threads_[running_]->open_group.push_back(std::move(copy));
}

void Block::close_copies() {
  Thread& self = *all_threads_[running_];
  self.groups.push_back(std::exchange(self.open_group, {}));
}

void Block::finish_copies(size_t groups_left) {
  Thread& self = *all_threads_[running_];
  const size_t due = self.groups.size() - std::min(groups_left, self.groups.size());
  for (size_t g = 0; g < due; ++g)
    for (const Copy& copy : self.groups[g]) {
      std::ranges::copy(copy.content, copy.to);
      shared_.end_copy(party(), copy.to, copy.content.size());
    }
  self.groups.erase(self.groups.begin(), self.groups.begin() + static_cast<std::ptrdiff_t>(due));
}

void Block::check_is_hopper() const {
  if (model_.capability != 90) fault("this card has neither bulk copies nor warpgroups");
}

void Block::wait_barrier(const void* barrier, int parity) {
  wait_until("a phase of a barrier", [&] { return barriers_.is_over(barrier, parity); });
  barriers_.end_wait(party(), barrier);
}

uint64_t launch_count() {
  return launches;
}

void run_grid(const DeviceModel& model, const char* kernel, Place grid, int threads,
              size_t shared_bytes, const std::function<void()>& body) {
  thread_local Block block;
  const uint64_t order = mix64(++launches);
  const unsigned host_arithmetic = _mm_getcsr();
  _mm_setcsr(kDeviceArithmetic);
  for (int z = 0; z < grid.z; ++z)
    for (int y = 0; y < grid.y; ++y)
      for (int x = 0; x < grid.x; ++x)
        block.run(model, kernel, {x, y, z}, grid, threads, shared_bytes, order, body);
  _mm_setcsr(host_arithmetic);
}

}  // namespace erne::cuda::emulation
