# The back end for GPUs, where there is a compiler for them (cmake/Cuda.cmake); elsewhere a file that
# says so. The same sources on the emulated device are erne_cuda_emulated of tests/CMakeLists.txt.
set(cuda_sources cuda_backend.cpp choose_units.cpp)
file(GLOB cuda_packing CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_LIST_DIR}/packing/*.cpp)
file(GLOB cuda_kernels CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_LIST_DIR}/kernels/*.cu)
set(sources no_cuda.cpp)
if(ERNE_CUDA)
  set(sources ${cuda_sources} ${cuda_packing} ${cuda_kernels} runtime/gpu_runtime.cpp runtime/gpu_tensor_map.cpp)
endif()
list(TRANSFORM sources PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
