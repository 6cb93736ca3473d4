// Quantised weights in the order of integer_panels.h: encoded once when a model is loaded, read row
// by row for embeddings.
#pragma once

#include <span>

#include "backend/backend.h"
#include "cpu/machine/thread_pool.h"
#include "cpu/packing/integer_panels.h"

namespace erne::cpu {

CodePanels code_panels(const Linear& w);

size_t code_bytes(const WeightFormat& format, int64_t out, int64_t in);

// Backend::pack_rows.
void pack_codes(const Linear& w, const TensorView& rows, int64_t first_row, ThreadPool& pool);
void place_codes(const Linear& w, const EncodedRows& rows, int64_t first_row, ThreadPool& pool);

// x[t] = row ids[t] of the table, in x's type.
void read_code_rows(const Linear& table, std::span<const int32_t> ids, const TensorView& x,
                    ThreadPool& pool);

}  // namespace erne::cpu
