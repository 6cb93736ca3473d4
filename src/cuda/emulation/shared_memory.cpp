#include "cuda/emulation/shared_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "cuda/emulation/fault.h"

namespace erne::cuda::emulation {
namespace {

std::string name_of(int warp, int lane) {
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
  clocks_.assign(warps, Clock(warps, begin_ - 1));
  for (int warp = 0; warp < warps; ++warp) clocks_[warp][warp] = begin_;
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

void SharedMemory::check_read(Party party, const void* address, size_t bytes, size_t alignment) {
  const size_t first = first_part(address, bytes, alignment);
  const size_t end = first + std::max<size_t>(1, bytes / kPart);
  for (size_t part = first; part < end; ++part) {
    const Write& write = writes_[part];
    if (write.time < begin_)
      fault(fmt::format("shared memory: {} reads offset {}, which nobody has written",
                        name_of(party.warp, party.lane), part * kPart));
    if (write.pending)
      fault(fmt::format("shared memory: {} reads offset {} before the copy to it was waited for",
                        name_of(party.warp, party.lane), part * kPart));
    check_nobody_adds(party, part, "reads");
    if (!is_ordered(party, write.warp, write.lane, write.time))
      fault(fmt::format(
          "shared memory: {} reads offset {}, which {} has written since the last barrier",
          name_of(party.warp, party.lane), part * kPart, name_of(write.warp, write.lane)));
    Read& read = read_of(part, party.warp);
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
    writes_[part] = {known(party.warp, party.warp), static_cast<int16_t>(party.warp),
                     static_cast<int16_t>(party.lane)};
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
    write = {known(party.warp, party.warp), static_cast<int16_t>(party.warp),
             static_cast<int16_t>(party.lane), false, block_turn_};
  }
}

void SharedMemory::begin_copy(Party party, const void* address, size_t bytes) {
  check_write(party, address, bytes, bytes);
  const size_t first = first_part(address, bytes, bytes);
  for (size_t part = first; part < first + bytes / kPart; ++part) writes_[part].pending = true;
}

void SharedMemory::end_copy(Party party, const void* address, size_t bytes) {
  const size_t first = first_part(address, bytes, bytes);
  for (size_t part = first; part < first + bytes / kPart; ++part)
    writes_[part] = {known(party.warp, party.warp), static_cast<int16_t>(party.warp),
                     static_cast<int16_t>(party.lane)};
}

void SharedMemory::order_warp(int warp) {
  latest_ = std::max(latest_, ++clocks_[warp][warp]);
}

void SharedMemory::order_block() {
  ++block_turn_;
  Clock all = clocks_[0];
  for (int warp = 0; warp < warps_; ++warp) all[warp] = known(warp, warp);
  for (int warp = 0; warp < warps_; ++warp) {
    clocks_[warp] = all;
    order_warp(warp);
  }
}

void SharedMemory::release(int warp, Clock& to) {
  to.resize(warps_);
  for (int of = 0; of < warps_; ++of) to[of] = std::max(to[of], known(warp, of));
  order_warp(warp);
}

void SharedMemory::acquire(int warp, const Clock& from) {
  for (size_t of = 0; of < from.size(); ++of)
    clocks_[warp][of] = std::max(clocks_[warp][of], from[of]);
  order_warp(warp);
}

}  // namespace erne::cuda::emulation
