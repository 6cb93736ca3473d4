// What the code of a kernel is written in. It is compiled twice: by nvcc for a GPU, and by the
// host's compiler against the emulation of emulation/, which runs the same code thread by thread
// and stops at what a GPU would not forgive. So a kernel uses the names of this folder and nothing
// of CUDA itself.
//
// A kernel is a struct: its members are its arguments, `static constexpr int kThreads` the threads
// of a block (a multiple of 32; the most of them where there is a `threads()`), `kLeastBlocks`, if
// it has that, how many blocks must find registers on a multiprocessor, `run()` what each thread
// does. `launch(stream, grid, kernel)` starts it; `kernel.shared_bytes()` says how much
// shared memory a block needs.
//
//   template <class T>
//   struct Double {
//     static constexpr int kThreads = 128;
//     Global<T> x;
//     int64_t count;
//     size_t shared_bytes() const { return 0; }
//     ON_DEVICE void run() const {
//       const int64_t i = int64_t{block_x()} * kThreads + thread_index();
//       if (i < count) x.set(i, from_float<T>(2 * to_float(x[i])));
//     }
//   };
//
// Both compilers take these names from here:
//
//   where a thread is     thread_index(), warp(), lane(), block_x/y/z(), grid_x/y/z()
//   barriers              sync_block(), sync_warp()
//   launches              wait_for_earlier(): a kernel with a `kStartsEarly` may begin while those
//                         before it still run. Until a thread of it has called this, it reads
//                         nothing that they write (weights are free to read) and writes nothing;
//                         each has to. Other kernels begin with it
//   warps                 shuffle_xor(v, mask), shuffle(v, lane), shuffle_up(v, by): v of another
//                         lane; same_lanes(v): a bit for each lane that has the same; all 32
//                         must take part
//   memory                Global<T>, Shared<T>, shared_memory()  (memory.h)
//                         .add(i, v): of integers, by many threads at once
//   copies                copy_async(to, from, valid_bytes), close_copies(), finish_copies<left>():
//                         16 bytes at a time, global to shared, behind the thread's back; zeros
//                         beyond valid_bytes
//   matrix units          mma(...)  (matrix.h); on Hopper, warpgroup.h and bulk_copy.h
//   pairs of bfloat16     fma_pair, rounded_pair  (numbers.h)
//   loops                 UNROLLED in front of one of constant length: arrays that are indexed by
//                         it stay in registers
//   arithmetic            fma, divide, square_root: rounded to nearest as IEEE 754 says; nothing is
//                         contracted, and denormals are zero; floor_to_int, count_bits
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/language/device_choice.h"

#if defined(ERNE_CUDA_EMULATED)
#include "cuda/language/emulated.h"
#else
#include "cuda/language/nvcc.h"
#endif

#include "cuda/language/memory.h"
#include "cuda/language/numbers.h"
