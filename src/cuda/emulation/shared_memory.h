// The shared memory of a block, which knows who wrote and who read each of its parts, and when. It
// stops the program, with the kernel's name, at
//   - an access out of bounds or not aligned;
//   - a read of what nobody has written;
//   - a read of what another thread wrote, and a write of what another thread read or wrote,
//     unless a barrier lies between them;
//   - an access to what an asynchronous copy writes, before that copy has been waited for.
//
// Time is kept as vector clocks (Fidge; Mattern, 1988), one for each warp: barriers tell a warp how
// far the others were. Inside a warp, sync_warp() is the barrier. Parts are of two bytes; threads
// must not write different bytes of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace erne::cuda::emulation {

// Who asks: a thread of the block. Warp and lane are written out since everything here needs them.
struct Party {
  int warp = 0, lane = 0;
};

class SharedMemory {
 public:
  // Memory for a block of so many warps, of which nothing is written.
  void begin_block(size_t bytes, int warps);
  std::byte* data() { return bytes_.get(); }
  size_t bytes() const { return size_; }

  void check_read(Party party, const void* address, size_t bytes, size_t alignment);
  void check_write(Party party, const void* address, size_t bytes, size_t alignment);
  // An atomic addition: between barriers others may add, too, but nobody may read or write.
  void check_add(Party party, const void* address, size_t bytes, size_t alignment);
  // An asynchronous copy by `party` into these bytes begins; it ends, and they are its writing.
  void begin_copy(Party party, const void* address, size_t bytes);
  void end_copy(Party party, const void* address, size_t bytes);

  // Barriers. All of one warp have arrived; of all warps.
  void order_warp(int warp);
  void order_block();
  // What `warp` knows is handed on: what a barrier object knows grows by it; a warp that waits for
  // the object learns what that knows.
  using Clock = std::vector<uint64_t>;
  void release(int warp, Clock& to);
  void acquire(int warp, const Clock& from);

 private:
  static constexpr size_t kPart = 2;
  struct Write {
    uint64_t time = 0;  // of the writer's warp
    int16_t warp = -1, lane = -1;
    bool pending = false;  // a copy has begun and not ended
    uint64_t added = 0;    // the turn of the block's barrier in which it was added to
  };
  struct Read {
    uint64_t time = 0;
    int16_t lane = -1;  // kMany: of several lanes
  };
  static constexpr int16_t kMany = 32;

  size_t first_part(const void* address, size_t bytes, size_t alignment) const;
  uint64_t known(int warp, int of) const { return clocks_[warp][of]; }
  bool is_ordered(Party party, int warp, int lane, uint64_t time) const;
  void check_may_write(Party party, size_t part) const;
  void check_nobody_reads(Party party, size_t part) const;
  void check_nobody_adds(Party party, size_t part, const char* does) const;
  Read& read_of(size_t part, int warp) { return reads_[part * warps_ + warp]; }
  const Read& read_of(size_t part, int warp) const { return reads_[part * warps_ + warp]; }

  // As the hardware aligns it for its largest accesses.
  static constexpr size_t kAlignment = 1024;
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };

  size_t size_ = 0, room_ = 0;
  int warps_ = 0;
  uint64_t begin_ = 0;                        // what has an earlier time is of another block
  uint64_t latest_ = 0;                       // no clock is beyond it
  uint64_t block_turn_ = 0;                   // of the block's barrier, over all blocks
  std::unique_ptr<std::byte[], Free> bytes_;  // [room_]
  std::vector<Write> writes_;
  std::vector<Read> reads_;
  std::vector<Clock> clocks_;  // [warp][of warp]
};

}  // namespace erne::cuda::emulation
