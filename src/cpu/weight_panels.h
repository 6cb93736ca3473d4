// Weights in the order of panels.h: packed once when a model is loaded, read row by row for
// embeddings.
#pragma once

#include <span>

#include "backend/backend.h"
#include "cpu/thread_pool.h"

namespace erne::cpu {

// [out, in] row-major, bfloat16 or float32, into panels of the format's stored type in new memory.
Linear pack_panels(const TensorView& weight, const WeightFormat& format, DeviceBuffer& storage,
                   ThreadPool& pool);

// x[t] = row ids[t] of the packed table, in x's type.
void read_rows(const Linear& table, std::span<const int32_t> ids, const TensorView& x,
               ThreadPool& pool);

}  // namespace erne::cpu
