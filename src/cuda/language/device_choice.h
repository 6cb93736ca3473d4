// The code of cuda/ is compiled once for each of two devices, in a namespace of its own each: a
// GPU, and the emulation, which tests have beside it.
#pragma once

#if defined(ERNE_CUDA_EMULATED)
#define ERNE_CUDA_DEVICE emulated
#else
#define ERNE_CUDA_DEVICE gpu
#endif
