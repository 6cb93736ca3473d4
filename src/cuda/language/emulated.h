// device_code.h on the host: each name asks the emulated block whose thread runs.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <typeinfo>
#include <utility>

#include "cuda/emulation/block.h"
#include "cuda/emulation/fault.h"
#include "cuda/emulation/global_memory.h"

#define ON_DEVICE inline
#define UNROLLED

namespace erne::cuda::inline emulated {

inline int thread_index() {
  return emulation::current_block().thread();
}
inline int warp() {
  return thread_index() / emulation::kWarpLanes;
}
inline int lane() {
  return thread_index() % emulation::kWarpLanes;
}
inline int block_x() {
  return emulation::current_block().place().x;
}
inline int block_y() {
  return emulation::current_block().place().y;
}
inline int block_z() {
  return emulation::current_block().place().z;
}
inline int grid_x() {
  return emulation::current_block().grid().x;
}
inline int grid_y() {
  return emulation::current_block().grid().y;
}

inline void sync_block() {
  emulation::current_block().sync_block();
}
inline void sync_warp() {
  emulation::Block& block = emulation::current_block();
  block.with_warp("sync_warp", nullptr,
                  [&](auto&) { block.shared().order_warp(block.party().warp); });
}

// Each lane's `exchange` of its own value and another lane's.
template <class T, class FromLane>
T shuffled(const char* what, T value, FromLane from_lane) {
  std::pair<T, T> operand{value, {}};
  emulation::current_block().with_warp(what, &operand, [&](auto& operands) {
    for (int to = 0; to < emulation::kWarpLanes; ++to) {
      const auto* from = static_cast<std::pair<T, T>*>(operands[from_lane(to)]);
      static_cast<std::pair<T, T>*>(operands[to])->second = from->first;
    }
  });
  return operand.second;
}
template <class T>
T shuffle_xor(T value, int mask) {
  return shuffled("shuffle_xor", value, [mask](int to) { return to ^ mask; });
}
// `from` is the same for all lanes.
template <class T>
T shuffle(T value, int from) {
  return shuffled("shuffle", value, [from](int) { return from; });
}
// Of the lane `by` below; the lowest ones keep their own.
template <class T>
T shuffle_up(T value, int by) {
  return shuffled("shuffle_up", value, [by](int to) { return to < by ? to : to - by; });
}
inline uint32_t same_lanes(int value) {
  std::pair<int, uint32_t> operand{value, 0};
  emulation::current_block().with_warp("same_lanes", &operand, [](auto& operands) {
    const auto at = [&](int l) { return static_cast<std::pair<int, uint32_t>*>(operands[l]); };
    for (int to = 0; to < emulation::kWarpLanes; ++to)
      for (int from = 0; from < emulation::kWarpLanes; ++from)
        at(to)->second |= uint32_t{at(from)->first == at(to)->first} << from;
  });
  return operand.second;
}

inline int count_bits(uint32_t v) {
  return std::popcount(v);
}
inline float fma(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline float divide(float a, float b) {
  return a / b;
}
inline float square_root(float v) {
  return std::sqrt(v);
}
// The largest integer that is not above v; 0 for NaN, the last one there is beyond it.
inline int32_t floor_to_int(float v) {
  if (v != v) return 0;
  const double whole = std::floor(v);
  return static_cast<int32_t>(whole > INT32_MAX   ? INT32_MAX
                              : whole < INT32_MIN ? INT32_MIN
                                                  : whole);
}
// 2^v, of a relative error below 2^-22 (ex2.approx, PTX ISA).
inline float exp2_fast(float v) {
  return std::exp2(v);
}
template <class To, class From>
To bits_as(From v) {
  return std::bit_cast<To>(v);
}

// Threads take turns, so nobody is in between.
inline void atomic_add(uint64_t* to, uint64_t value) {
  *to += value;
}

inline void let_next_begin() {}
inline void wait_for_earlier() {
  emulation::current_block().wait_for_earlier();
}
inline void check_global_read(const void* address, size_t bytes, size_t alignment) {
  emulation::check_global_read(address, bytes, alignment, emulation::current_block().has_waited());
}
inline void check_global_write(const void* address, size_t bytes, size_t alignment) {
  emulation::check_global_write(address, bytes, alignment, emulation::current_block().has_waited());
}
inline void read_once_bytes(const void* from, uint32_t (&to)[4]) {
  check_global_read(from, sizeof(to), sizeof(to));
  std::memcpy(to, from, sizeof(to));
}
inline void check_shared_read(const void* address, size_t bytes, size_t alignment) {
  emulation::Block& block = emulation::current_block();
  block.shared().check_read(block.party(), address, bytes, alignment);
}
inline void check_shared_write(const void* address, size_t bytes, size_t alignment) {
  emulation::Block& block = emulation::current_block();
  block.shared().check_write(block.party(), address, bytes, alignment);
}
inline void check_shared_add(const void* address, size_t bytes, size_t alignment) {
  emulation::Block& block = emulation::current_block();
  block.shared().check_add(block.party(), address, bytes, alignment);
}
inline std::byte* shared_bytes() {
  return emulation::current_block().shared().data();
}

inline void copy_async_bytes(std::byte* to, const std::byte* from, size_t bytes,
                             size_t valid_bytes) {
  if (valid_bytes > 0) check_global_read(from, valid_bytes, bytes);
  emulation::current_block().begin_copy(to, from, bytes, valid_bytes);
}
inline void close_copies() {
  emulation::current_block().close_copies();
}
template <int left>
void finish_copies() {
  emulation::current_block().finish_copies(left);
}

}  // namespace erne::cuda::inline emulated
