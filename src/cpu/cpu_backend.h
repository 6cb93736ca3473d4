// cpu: the CPU back end. `reference` is plain loops that any x86-64 runs; `avx2` (with FMA) and
// `avx512` (F, BW, DQ, VL, VNNI) are vectorised; `avx512_bf16` multiplies bfloat16 in pairs; `amx`
// is that with products on the tile unit. The order of every sum is fixed first (cpu/arithmetic.h)
// and the kernels follow it, so a row's result depends neither on the other rows, the chunk or the
// number of threads nor on the instruction set, but for weights with Linear::unit_order on `amx`.
//
// One thread at a time may use a back end; it owns a pool of worker threads for the inside of an op
// and takes part in the work itself. Memory comes from DeviceBuffers, which must not outlive the
// back end.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "cpu/machine/isa.h"

namespace erne::cpu {

// The CPUs this process may use: its affinity mask, and the CPU quota of its control group.
int usable_cpus();

// `threads` counts the calling thread; 0 means usable_cpus(). CHECKs that the machine supports
// `isa`.
std::unique_ptr<Backend> make_cpu_backend(CpuIsa isa, int threads);

}  // namespace erne::cpu
