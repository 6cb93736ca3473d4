// Copies of many bytes from global to shared memory that one thread asks for and a unit of its own
// makes, and the barrier objects that say when they have come (sm_90; PTX ISA, "mbarrier" and
// "cp.async.bulk").
//
//   Shared<Barrier>                 in shared memory, 8 bytes
//   make_barrier(b, arrivals)       by one thread; then fence_async() and a barrier of the block
//   arrive_expecting(b, bytes)      by one thread: arrives, and announces bytes of copies
//   arrive_warp(b)                  by all lanes of a warp: one arrival, behind what all of them do
//   wait_barrier(b, parity)         until the phase of this parity is over. Phases are counted from
//                                   0; before the first is over, that of parity 1 counts as over
//   copy_bulk(to, from, bytes, b)   multiples of 16 bytes
//   copy_box(to, map, b, k, row)    the box of a tensor map (tensor_map.h) from column k on, and
//   copy_box(..., k, row, matrix)   from a row and a matrix on; to: at a multiple of 1024 bytes
//   fence_async()                   what this thread has written to shared memory may be read by
//                                   such units and by warpgroup instructions, behind a barrier
//
// A box lies in shared memory row by row, 128 bytes each, where the eight pieces of 16 bytes of a
// row change places: swizzled() (PTX ISA, "Swizzling modes", 128 bytes: address bits 4 to 6 become
// their exclusive or with bits 7 to 9). Where it reaches beyond the tensor it is zero; its bytes
// count all the same.
#pragma once

#include "cuda/language/device_code.h"
#include "cuda/language/tensor_map.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

struct alignas(8) Barrier {
  uint64_t state;
};

constexpr int kSwizzleRow = 128, kSwizzleBytes = 1024;  // a row, and what repeats

// Of an address in shared memory, as if rows followed each other.
constexpr uint32_t swizzled(uint32_t address) {
  return address ^ (address >> 7 & 7) << 4;
}

#if defined(ERNE_CUDA_EMULATED)

// An address of the block's shared memory as instructions have it.
inline uint32_t shared_address(const void* at) {
  return static_cast<uint32_t>(static_cast<const std::byte*>(at) - shared_bytes());
}

inline void make_barrier(Shared<Barrier> b, int arrivals) {
  emulation::Block& block = emulation::current_block();
  block.barriers().make(block.party(), b.address(), arrivals);
}
inline void arrive_expecting(Shared<Barrier> b, int bytes) {
  emulation::Block& block = emulation::current_block();
  block.barriers().arrive(block.party(), b.address(), bytes);
}
inline void arrive_warp(Shared<Barrier> b) {
  sync_warp();
  if (lane() == 0) arrive_expecting(b, 0);
}
inline void wait_barrier(Shared<Barrier> b, int parity) {
  emulation::current_block().wait_barrier(b.address(), parity);
}
inline void fence_async() {
  emulation::Block& block = emulation::current_block();
  block.shared().fence_async(block.party());
}

template <class T>
void copy_bulk(Shared<T> to, Global<T> from, int bytes, Shared<Barrier> b) {
  constexpr int kPiece = emulation::SharedMemory::kPiece;
  emulation::Block& block = emulation::current_block();
  block.check_is_hopper();
  if (bytes % kPiece != 0) emulation::fault("a bulk copy of no multiple of 16 bytes");
  check_global_read(from.address(), bytes, kPiece);
  auto* const target = reinterpret_cast<std::byte*>(to.address());
  for (int at = 0; at < bytes; at += kPiece)
    block.barriers().write(block.party(), b.address(), target + at);
  std::memcpy(target, from.address(), bytes);
  block.barriers().count_bytes(block.party(), b.address(), bytes);
}

namespace bulk {

inline void copy_rows(Shared<std::byte> to, const TensorMap& map, Shared<Barrier> b, int k, int row,
                      int matrix) {
  constexpr int kPiece = emulation::SharedMemory::kPiece;
  emulation::Block& block = emulation::current_block();
  block.check_is_hopper();
  const uint32_t target = shared_address(to.address());
  if (target % kSwizzleBytes != 0) emulation::fault("a box at no multiple of 1024 bytes");
  const int bytes = map.shape.box_rows * kSwizzleRow;
  for (int at = 0; at < bytes; at += kPiece) {
    std::byte* const piece = shared_bytes() + swizzled(target + at);
    block.barriers().write(block.party(), b.address(), piece);
    map.read(piece, k + at % kSwizzleRow / 2, row + at / kSwizzleRow, matrix);
  }
  block.barriers().count_bytes(block.party(), b.address(), bytes);
}

}  // namespace bulk

inline void copy_box(Shared<std::byte> to, const TensorMap& map, Shared<Barrier> b, int k,
                     int row) {
  if (map.shape.matrices > 0) emulation::fault("a box of two dimensions of a tensor of three");
  bulk::copy_rows(to, map, b, k, row, 0);
}
inline void copy_box(Shared<std::byte> to, const TensorMap& map, Shared<Barrier> b, int k, int row,
                     int matrix) {
  if (map.shape.matrices == 0) emulation::fault("a box of three dimensions of a tensor of two");
  bulk::copy_rows(to, map, b, k, row, matrix);
}

#else

template <class T>
ON_DEVICE uint32_t shared_address(const T* at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}

ON_DEVICE void make_barrier(Shared<Barrier> b, int arrivals) {
  asm volatile(
      "mbarrier.init.shared::cta.b64 [%0], %1;\nfence.mbarrier_init.release.cluster;" ::"r"(
          shared_address(b.address())),
      "r"(arrivals)
      : "memory");
}
ON_DEVICE void arrive_expecting(Shared<Barrier> b, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b.address())),
      "r"(bytes)
      : "memory");
}
ON_DEVICE void arrive_warp(Shared<Barrier> b) {
  sync_warp();
  if (lane() == 0)
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b.address()))
                 : "memory");
}
// A barrier that nobody ends is given up: sums are wrong then, which the comparison at the start
// (choose_units.h) notices, and nothing hangs. No trap: nvcc 13.0 then gives a warpgroup no more
// registers than a block begins with, and products spill 248 bytes of them.
ON_DEVICE void wait_barrier(Shared<Barrier> b, int parity) {
  constexpr int kMostTries = 1 << 20;  // each waits for some microseconds
  uint32_t is_over = 0;
  for (int tries = 0; is_over == 0 && tries < kMostTries; ++tries) {
    asm volatile(
        "{\n.reg .pred over;\nmbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
        "selp.u32 %0, 1, 0, over;\n}"
        : "=r"(is_over)
        : "r"(shared_address(b.address())), "r"(parity)
        : "memory");
  }
}
ON_DEVICE void fence_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

template <class T>
ON_DEVICE void copy_bulk(Shared<T> to, Global<T> from, int bytes, Shared<Barrier> b) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to.address())),
      "l"(from.address()), "r"(bytes), "r"(shared_address(b.address()))
      : "memory");
}
ON_DEVICE void copy_box(Shared<std::byte> to, const TensorMap& map, Shared<Barrier> b, int k,
                        int row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(to.address())),
      "l"(&map), "r"(shared_address(b.address())), "r"(k), "r"(row)
      : "memory");
}
ON_DEVICE void copy_box(Shared<std::byte> to, const TensorMap& map, Shared<Barrier> b, int k,
                        int row, int matrix) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(shared_address(to.address())),
      "l"(&map), "r"(shared_address(b.address())), "r"(k), "r"(row), "r"(matrix)
      : "memory");
}

#endif

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
