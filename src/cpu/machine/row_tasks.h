// Rows of an elementwise op as tasks for the threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cpu/machine/thread_pool.h"
#include "tensor/tensor_view.h"

namespace erne::cpu {

// Elementwise ops on fewer elements than this are over before a second thread has begun.
constexpr int64_t kTaskElements = 8192;

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

inline std::byte* row_of(const TensorView& view, int64_t row) {
  return view.as<std::byte>() + row * view.shape[1] * dtype_bytes(view.dtype);
}

// body(first row, number of rows), some thousand elements at a time.
template <class Body>
void for_rows(ThreadPool& pool, int64_t num_rows, int64_t width, const Body& body) {
  const int64_t step = std::max<int64_t>(1, kTaskElements / width);
  pool.parallel_for(ceil_div(num_rows, step), [&](int64_t task, int) {
    body(task * step, std::min(step, num_rows - task * step));
  });
}

}  // namespace erne::cpu
