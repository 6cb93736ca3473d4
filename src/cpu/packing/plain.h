// Weights in the order of panels.h: packed once when a model is loaded, read row by row for
// embeddings.
#pragma once

#include <span>

#include "backend/backend.h"
#include "cpu/machine/thread_pool.h"

namespace erne::cpu {

size_t panel_bytes(const WeightFormat& format, int64_t out, int64_t in);

// Backend::pack_rows.
void pack_panels(const Linear& w, const TensorView& rows, int64_t first_row, ThreadPool& pool);

// x[t] = row ids[t] of the packed table, in x's type.
void read_rows(const Linear& table, std::span<const int32_t> ids, const TensorView& x,
               ThreadPool& pool);

}  // namespace erne::cpu
