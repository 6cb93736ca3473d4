// device_code.h on a GPU.
#pragma once

#include <cuda_runtime.h>

#define ON_DEVICE __device__ __forceinline__
#define UNROLLED _Pragma("unroll")

namespace erne::cuda::inline gpu {

ON_DEVICE int thread_index() {
  return static_cast<int>(threadIdx.x);
}
ON_DEVICE int warp() {
  return thread_index() / 32;
}
ON_DEVICE int lane() {
  return thread_index() % 32;
}
ON_DEVICE int block_x() {
  return static_cast<int>(blockIdx.x);
}
ON_DEVICE int block_y() {
  return static_cast<int>(blockIdx.y);
}
ON_DEVICE int block_z() {
  return static_cast<int>(blockIdx.z);
}
ON_DEVICE int grid_x() {
  return static_cast<int>(gridDim.x);
}
ON_DEVICE int grid_y() {
  return static_cast<int>(gridDim.y);
}

ON_DEVICE void sync_block() {
  __syncthreads();
}
ON_DEVICE void sync_warp() {
  __syncwarp();
}

// Hopper's programmatic dependent launch; elsewhere launches begin one after the other ended.
ON_DEVICE void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
ON_DEVICE void wait_for_earlier() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

template <class T>
ON_DEVICE T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFu, value, mask);
}
template <class T>
ON_DEVICE T shuffle(T value, int from) {
  return __shfl_sync(0xFFFFFFFFu, value, from);
}
template <class T>
ON_DEVICE T shuffle_up(T value, int by) {
  return __shfl_up_sync(0xFFFFFFFFu, value, by);
}
ON_DEVICE uint32_t same_lanes(int value) {
  return __match_any_sync(0xFFFFFFFFu, value);
}

ON_DEVICE int count_bits(uint32_t v) {
  return __popc(v);
}
ON_DEVICE float fma(float a, float b, float c) {
  return __fmaf_rn(a, b, c);
}
ON_DEVICE float divide(float a, float b) {
  return __fdiv_rn(a, b);
}
ON_DEVICE float square_root(float v) {
  return __fsqrt_rn(v);
}
ON_DEVICE int32_t floor_to_int(float v) {
  return __float2int_rd(v);
}
ON_DEVICE float exp2_fast(float v) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(v));
  return out;
}
template <class To, class From>
ON_DEVICE To bits_as(From v) {
  static_assert(sizeof(To) == sizeof(From));
  To out;
  __builtin_memcpy(&out, &v, sizeof(To));
  return out;
}

// 16 bytes that no other thread of the multiprocessor wants: they take no room in its cache.
ON_DEVICE void read_once_bytes(const void* from, uint32_t (&to)[4]) {
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "l"(from));
}

ON_DEVICE void atomic_add(uint64_t* to, uint64_t value) {
  atomicAdd(reinterpret_cast<unsigned long long*>(to), value);
}

ON_DEVICE void check_global_read(const void*, size_t, size_t) {}
ON_DEVICE void check_global_write(const void*, size_t, size_t) {}
ON_DEVICE void check_shared_read(const void*, size_t, size_t) {}
ON_DEVICE void check_shared_write(const void*, size_t, size_t) {}
ON_DEVICE void check_shared_add(const void*, size_t, size_t) {}
ON_DEVICE std::byte* shared_bytes() {
  extern __shared__ __align__(1024) std::byte dynamic_shared_memory[];
  return dynamic_shared_memory;
}

ON_DEVICE void copy_async_bytes(std::byte* to, const std::byte* from, size_t, size_t valid_bytes) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
               "r"(static_cast<uint32_t>(valid_bytes))
               : "memory");
}
ON_DEVICE void close_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int left>
ON_DEVICE void finish_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

}  // namespace erne::cuda::inline gpu
