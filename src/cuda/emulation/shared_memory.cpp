#include "cuda/emulation/shared_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "cuda/emulation/fault.h"

namespace erne::cuda::emulation {
namespace {

constexpr int kBulkCopy = -2;  // the lane of what a phase of a barrier object has written

std::string name_of(int warp, int lane) {
  if (lane == kBulkCopy) return "a bulk copy";
  return lane < 0 || lane >= 32 ? fmt::format("warp {}", warp)
                                : fmt::format("warp {} lane {}", warp, lane);
}

}  // namespace

void SharedMemory::begin_block(size_t bytes, int warps) {
  size_ = bytes;
  const size_t parts = (bytes + kPart - 1) / kPart;
  if (room_ < bytes) {
    room_ = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, room_)));
  }
  if (writes_.size() < parts) writes_.resize(parts);
  if (warps != warps_) reads_.assign(parts * warps, {});
  if (reads_.size() < parts * warps) reads_.resize(parts * warps);
  warps_ = warps;
  begin_ = latest_ = latest_ + 1;
  ++block_turn_;
  clocks_.assign(warps, Clock(clock_size(), begin_ - 1));
  for (int warp = 0; warp < warps; ++warp) clocks_[warp][warp] = begin_;
  fences_.assign(size_t{32} * warps, {});
}

size_t SharedMemory::first_part(const void* address, size_t bytes, size_t alignment) const {
  const auto* at = static_cast<const std::byte*>(address);
  if (at < bytes_.get() || at + bytes > bytes_.get() + size_)
    fault(
        fmt::format("shared memory: {} bytes at offset {} of {}", bytes, at - bytes_.get(), size_));
  const size_t offset = at - bytes_.get();
  if (offset % alignment != 0)
    fault(
        fmt::format("shared memory: an access of {} bytes at offset {}, which is no multiple of {}",
                    bytes, offset, alignment));
  return offset / kPart;
}

bool SharedMemory::is_ordered(Party party, int warp, int lane, uint64_t time) const {
  if (warp == party.warp) return lane == party.lane || time < known(warp, warp);
  return time <= known(party.warp, warp);
}

SharedMemory::Write SharedMemory::written_by(Party party) const {
  return {.time = known(party.warp, party.warp),
          .warp = static_cast<int16_t>(party.warp),
          .lane = static_cast<int16_t>(party.lane),
          .fences = static_cast<uint32_t>(fences_[party.warp * 32 + party.lane].size())};
}

void SharedMemory::check_may_read(Party party, size_t part) const {
  const Write& write = writes_[part];
  if (write.time < begin_)
    fault(fmt::format("shared memory: {} reads offset {}, which nobody has written",
                      name_of(party.warp, party.lane), part * kPart));
  if (write.pending)
    fault(fmt::format("shared memory: {} reads offset {} before the copy to it was waited for",
                      name_of(party.warp, party.lane), part * kPart));
  check_nobody_adds(party, part, "reads");
  if (is_ordered(party, write.warp, write.lane, write.time)) return;
  if (write.lane == kBulkCopy)
    fault(
        fmt::format("shared memory: {} reads offset {} before the phase of the bulk copy to it is "
                    "known to be over",
                    name_of(party.warp, party.lane), part * kPart));
  fault(
      fmt::format("shared memory: {} reads offset {}, which {} has written since the last barrier",
                  name_of(party.warp, party.lane), part * kPart, name_of(write.warp, write.lane)));
}

void SharedMemory::check_may_read_async(Party party, size_t part) const {
  check_may_read(party, part);
  const Write& write = writes_[part];
  if (write.lane == kBulkCopy) return;
  const std::vector<uint64_t>& fences = fences_[write.warp * 32 + write.lane];
  if (write.fences >= fences.size() ||
      !is_ordered(party, write.warp, write.lane, fences[write.fences]))
    fault(
        fmt::format("shared memory: the asynchronous proxy reads offset {}, which {} has written "
                    "and not fenced before the barrier",
                    part * kPart, name_of(write.warp, write.lane)));
}

void SharedMemory::check_read(Party party, const void* address, size_t bytes, size_t alignment) {
  const size_t first = first_part(address, bytes, alignment);
  const size_t end = first + std::max<size_t>(1, bytes / kPart);
  for (size_t part = first; part < end; ++part) {
    check_may_read(party, part);
    Read& read = read_of(part, party.warp);
    if ((read.time & kInFlight) != 0) continue;
    const uint64_t now = known(party.warp, party.warp);
    const bool others = read.time == now && read.lane != party.lane;
    read = {now, others ? kMany : static_cast<int16_t>(party.lane)};
  }
}

void SharedMemory::check_nobody_adds(Party party, size_t part, const char* does) const {
  if (writes_[part].added == block_turn_)
    fault(
        fmt::format("shared memory: {} {} offset {}, which threads have added to since the block's "
                    "last barrier",
                    name_of(party.warp, party.lane), does, part * kPart));
}

void SharedMemory::fence_async(Party party) {
  fences_of(party).push_back(known(party.warp, party.warp));
}

void SharedMemory::check_async_read(Party party, const void* address, size_t bytes) {
  const size_t first = first_part(address, bytes, bytes);
  for (size_t part = first; part < first + bytes / kPart; ++part) check_may_read_async(party, part);
}

void SharedMemory::begin_async_read(Party party, const Pieces& pieces, uint64_t ticket) {
  for (const std::byte* piece : pieces) {
    const size_t first = first_part(piece, kPiece, kPiece);
    for (size_t part = first; part < first + kPiece / kPart; ++part) {
      check_may_read_async(party, part);
      read_of(part, party.warp) = {kInFlight | ticket, kMany};
    }
  }
}

void SharedMemory::end_async_read(int warp, const Pieces& pieces, uint64_t ticket) {
  for (const std::byte* piece : pieces) {
    const size_t first = first_part(piece, kPiece, kPiece);
    for (size_t part = first; part < first + kPiece / kPart; ++part) {
      Read& read = read_of(part, warp);
      if (read.time == (kInFlight | ticket)) read.time = known(warp, warp);
    }
  }
}

void SharedMemory::async_write(Party party, const void* address, int barrier, uint64_t phase) {
  const size_t first = first_part(address, kPiece, kPiece);
  for (size_t part = first; part < first + kPiece / kPart; ++part) {
    check_may_write(party, part);
    writes_[part] = {
        .time = begin_ + phase, .warp = static_cast<int16_t>(warps_ + barrier), .lane = kBulkCopy};
  }
}

void SharedMemory::phase_over(int barrier, uint64_t phase, Clock& clock) {
  clock.resize(clock_size());
  clock[warps_ + barrier] = begin_ + phase;
  latest_ = std::max(latest_, begin_ + phase);
}

void SharedMemory::check_may_write(Party party, size_t part) const {
  check_nobody_adds(party, part, "writes");
  const Write& write = writes_[part];
  if (write.time >= begin_ &&
      (write.pending || !is_ordered(party, write.warp, write.lane, write.time)))
    fault(fmt::format("shared memory: {} writes offset {}, which {} {} since the last barrier",
                      name_of(party.warp, party.lane), part * kPart,
                      name_of(write.warp, write.lane),
                      write.pending ? "copies to" : "has written"));
  check_nobody_reads(party, part);
}

void SharedMemory::check_nobody_reads(Party party, size_t part) const {
  for (int warp = 0; warp < warps_; ++warp) {
    const Read& read = read_of(part, warp);
    if ((read.time & kInFlight) != 0)
      fault(fmt::format(
          "shared memory: {} writes offset {}, which an instruction of {} in flight reads",
          name_of(party.warp, party.lane), part * kPart, name_of(warp, -1)));
    if (read.time >= begin_ && !is_ordered(party, warp, read.lane, read.time))
      fault(fmt::format(
          "shared memory: {} writes offset {}, which {} has read since the last barrier",
          name_of(party.warp, party.lane), part * kPart, name_of(warp, read.lane)));
  }
}

void SharedMemory::check_write(Party party, const void* address, size_t bytes, size_t alignment) {
  const size_t first = first_part(address, bytes, alignment);
  const size_t end = first + std::max<size_t>(1, bytes / kPart);
  for (size_t part = first; part < end; ++part) {
    check_may_write(party, part);
    writes_[part] = written_by(party);
  }
}

void SharedMemory::check_add(Party party, const void* address, size_t bytes, size_t alignment) {
  const size_t first = first_part(address, bytes, alignment);
  for (size_t part = first; part < first + bytes / kPart; ++part) {
    Write& write = writes_[part];
    if (write.time < begin_)
      fault(fmt::format("shared memory: {} adds to offset {}, which nobody has written",
                        name_of(party.warp, party.lane), part * kPart));
    write.added == block_turn_ ? check_nobody_reads(party, part) : check_may_write(party, part);
    write = written_by(party);
    write.added = block_turn_;
  }
}

void SharedMemory::begin_copy(Party party, const void* address, size_t bytes) {
  check_write(party, address, bytes, bytes);
  const size_t first = first_part(address, bytes, bytes);
  for (size_t part = first; part < first + bytes / kPart; ++part) writes_[part].pending = true;
}

void SharedMemory::end_copy(Party party, const void* address, size_t bytes) {
  const size_t first = first_part(address, bytes, bytes);
  for (size_t part = first; part < first + bytes / kPart; ++part) writes_[part] = written_by(party);
}

void SharedMemory::order_warp(int warp) {
  latest_ = std::max(latest_, ++clocks_[warp][warp]);
}

void SharedMemory::order_block() {
  ++block_turn_;
  Clock all = clocks_[0];
  for (const Clock& clock : clocks_)
    for (size_t of = 0; of < all.size(); ++of) all[of] = std::max(all[of], clock[of]);
  for (int warp = 0; warp < warps_; ++warp) {
    clocks_[warp] = all;
    order_warp(warp);
  }
}

void SharedMemory::release(int warp, Clock& to) {
  to.resize(clock_size());
  for (size_t of = 0; of < to.size(); ++of) to[of] = std::max(to[of], clocks_[warp][of]);
  order_warp(warp);
}

void SharedMemory::acquire(int warp, const Clock& from) {
  for (size_t of = 0; of < from.size(); ++of)
    clocks_[warp][of] = std::max(clocks_[warp][of], from[of]);
}

}  // namespace erne::cuda::emulation
