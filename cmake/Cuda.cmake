# nvcc, where there is one: ERNE_NVCC names it, CUDACXX does, or it is on the PATH or in
# /usr/local/cuda. Without one the product computes on the CPU alone.
#
# The wheels of docs/cuda.md hold a compiler, too: nvidia/cu13/bin/nvcc. Their libraries lie in
# lib, where nvcc looks in lib64.
find_program(ERNE_NVCC nvcc HINTS ENV CUDACXX PATHS /usr/local/cuda/bin NO_CACHE)
set(ERNE_NVCC "${ERNE_NVCC}" CACHE FILEPATH "CUDA compiler; empty: none")
set(ERNE_CUDA OFF)
if(ERNE_NVCC AND NOT ERNE_FUZZ)
  set(CMAKE_CUDA_COMPILER ${ERNE_NVCC})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  set(ERNE_CUDA_ARCHITECTURES "80-real;89-real;90a-real" CACHE STRING "GPUs to build for")
  set(CMAKE_CUDA_ARCHITECTURES ${ERNE_CUDA_ARCHITECTURES})
  get_filename_component(cuda_root ${ERNE_NVCC} DIRECTORY)
  get_filename_component(cuda_root ${cuda_root} DIRECTORY)
  set(ENV{NVCC_PREPEND_FLAGS} "-L${cuda_root}/lib")
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD_REQUIRED OFF)  # CMake 3.25 knows no CUDA of C++20; the flag is below
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)  # so that the binary starts where there is no CUDA
  # Each sum is formed as its kernel says: nothing is contracted, division is IEEE 754's.
  string(APPEND CMAKE_CUDA_FLAGS
    " -std=c++20 --expt-relaxed-constexpr --extended-lambda -fmad=false -ftz=true -Xptxas=-warn-spills -Werror=all-warnings")
  set(ERNE_CUDA ON)
  message(STATUS "CUDA back end: ${ERNE_NVCC}, for ${ERNE_CUDA_ARCHITECTURES}")
else()
  message(STATUS "CUDA back end: none (no nvcc); the CPU computes")
endif()
