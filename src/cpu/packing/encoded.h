// Weights in the order of encoded_panels.h: encoded once when a model is loaded.
#pragma once

#include "backend/backend.h"
#include "cpu/machine/thread_pool.h"
#include "cpu/packing/encoded_panels.h"

namespace erne::cpu {

Fp8Panels fp8_panels(const Linear& w);
CcqPanels ccq_panels(const Linear& w);

size_t fp8_bytes(int64_t out, int64_t in);
size_t ccq_bytes(int64_t out, int64_t in);

// Backend::pack_rows.
void pack_fp8(const Linear& w, const TensorView& rows, int64_t first_row, ThreadPool& pool);
void pack_ccq(const Linear& w, const TensorView& rows, int64_t first_row, ThreadPool& pool);
void place_fp8(const Linear& w, const EncodedRows& rows, int64_t first_row, ThreadPool& pool);
void place_ccq(const Linear& w, const EncodedRows& rows, int64_t first_row, ThreadPool& pool);

}  // namespace erne::cpu
