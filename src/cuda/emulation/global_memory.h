// The emulated device's memory: pieces of the host's, of which it is known where they begin and
// end. Kernels reach them through Global<T> (cuda/language/memory.h), which asks here.
#pragma once

#include <cstddef>

namespace erne::cuda::emulation {

// Zeroed, aligned as cudaMalloc does. Memory of different allocations never touches.
void* allocate_global(size_t bytes);
void free_global(void* memory);
size_t global_bytes_in_use();

// A fault unless the bytes lie in one allocation, and the address is a multiple of the alignment.
void check_global(const void* address, size_t bytes, size_t alignment);
// By a kernel, whose thread `has_waited` for the launches before it. Where it has not, it may read
// memory that none of them has written into since end_launches().
void check_global_read(const void* address, size_t bytes, size_t alignment, bool has_waited);
void check_global_write(const void* address, size_t bytes, size_t alignment, bool has_waited);
// All launches so far have ended before the next one begins.
void end_launches();

}  // namespace erne::cuda::emulation
