// The shared memory of a block, which knows who wrote and who read each of its parts, and when. It
// stops the program, with the kernel's name, at
//   - an access out of bounds or not aligned;
//   - a read of what nobody has written;
//   - a read of what another thread wrote, and a write of what another thread read or wrote,
//     unless a barrier lies between them;
//   - an access to what an asynchronous copy writes, before that copy has been waited for;
//   - a read by the asynchronous proxy (bulk copies, warpgroup instructions) of what a thread wrote
//     and did not fence (PTX ISA, "Proxies"), and a write of what an instruction in flight reads.
//
// Time is kept as vector clocks (Fidge; Mattern, 1988), one for each warp: barriers tell a warp how
// far the others were. Inside a warp, sync_warp() is the barrier. A clock also says which phases of
// the block's barrier objects (barriers.h) a warp knows to be over: what bulk copies write counts
// as written by the phase that they complete. Parts are of two bytes; threads must not write
// different bytes of one.
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
  static constexpr int kMostBarriers = 32;

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

  // What `party` has written so far may be read by the asynchronous proxy, once a barrier has told
  // the reader's warp.
  void fence_async(Party party);
  // Such a read that is over at once.
  void check_async_read(Party party, const void* address, size_t bytes);
  // Such a read by a warp, 16 bytes for each address, that is under way until it is ended.
  using Pieces = std::vector<const std::byte*>;
  static constexpr size_t kPiece = 16;
  void begin_async_read(Party party, const Pieces& pieces, uint64_t ticket);
  void end_async_read(int warp, const Pieces& pieces, uint64_t ticket);
  // A write of kPiece bytes, asked for by `party`, that belongs to a phase of a barrier object.
  void async_write(Party party, const void* address, int barrier, uint64_t phase);
  // A clock that `phase_over` becomes part of knows it.
  using Clock = std::vector<uint64_t>;
  void phase_over(int barrier, uint64_t phase, Clock& clock);

  // Barriers. All of one warp have arrived; of all warps.
  void order_warp(int warp);
  void order_block();
  // What `warp` knows is handed on: what a barrier object knows grows by it; a warp that waits for
  // the object learns what that knows.
  void release(int warp, Clock& to);
  void acquire(int warp, const Clock& from);

 private:
  static constexpr size_t kPart = 2;
  struct Write {
    uint64_t time = 0;  // of the writer's warp
    int16_t warp = -1, lane = -1;
    bool pending = false;  // a copy has begun and not ended
    uint64_t added = 0;    // the turn of the block's barrier in which it was added to
    uint32_t fences = 0;   // of the writer before
  };
  struct Read {
    uint64_t time = 0;
    int16_t lane = -1;  // kMany: of several lanes
  };
  static constexpr int16_t kMany = 32;
  // The time of a read that is under way is its ticket with this bit.
  static constexpr uint64_t kInFlight = uint64_t{1} << 63;

  size_t first_part(const void* address, size_t bytes, size_t alignment) const;
  uint64_t known(int warp, int of) const { return clocks_[warp][of]; }
  bool is_ordered(Party party, int warp, int lane, uint64_t time) const;
  Write written_by(Party party) const;
  void check_may_read(Party party, size_t part) const;
  void check_may_read_async(Party party, size_t part) const;
  void check_may_write(Party party, size_t part) const;
  void check_nobody_reads(Party party, size_t part) const;
  void check_nobody_adds(Party party, size_t part, const char* does) const;
  size_t clock_size() const { return static_cast<size_t>(warps_) + kMostBarriers; }
  std::vector<uint64_t>& fences_of(Party party) { return fences_[party.warp * 32 + party.lane]; }
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
  std::vector<Clock> clocks_;                  // [warp][of warp, then of barrier object]
  std::vector<std::vector<uint64_t>> fences_;  // [thread] when, by its warp's clock
};

}  // namespace erne::cuda::emulation
