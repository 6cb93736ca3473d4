// Weights in the order in which the kernels read them: packed once when a model is loaded, read row
// by row for embeddings. Each encoding has one PanelFormat, in a file of its own, and one row in
// the table of panel_format.cpp; the functions below go by that table and know no encoding.
#pragma once

#include <span>

#include "backend/backend.h"
#include "cpu/machine/host_memory.h"
#include "cpu/machine/thread_pool.h"
#include "cpu/packing/packed_weight.h"
#include "tensor/encoded_rows.h"

namespace erne::cpu {

struct PanelFormat {
  // Bytes from one panel to the next.
  int64_t (*stride)(const PackedWeight& w);
  // A panel from rows [first, first + 16) or as many as there are: of a plain matrix as loaded, or
  // of encoded rows. An encoding has one of the two; what no row fills stays zeros, or becomes
  // them.
  void (*pack)(const TensorView& rows, int64_t first, const PackedWeight& w, int64_t panel);
  void (*place)(const EncodedRows& rows, int64_t first, const PackedWeight& w, int64_t panel);
  // The weights of output `row`, [in].
  void (*read_row)(const PackedWeight& w, int64_t row, float* out);
};

const PanelFormat& panel_format(Encoding encoding);

PackedWeight packed_weight(std::byte* data, const WeightFormat& format, int64_t in);
PackedWeight packed_weight(const Linear& w);

// Backend::packed_bytes.
size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in);
// Backend::pack_rows: rows as loaded, and rows that are encoded already.
void pack_rows(const PackedWeight& w, const TensorView& rows, int64_t first_row, ThreadPool& pool);
void place_rows(const PackedWeight& w, const EncodedRows& rows, int64_t first_row,
                ThreadPool& pool);

// x[t] = row ids[t] of the packed table, in x's type, by way of `scratch`.
void read_rows(const PackedWeight& table, std::span<const int32_t> ids, const TensorView& x,
               ThreadPool& pool, Scratch& scratch);
// A panel as a panel of float32, [in][16]: in plain loops, for encodings that an instruction set
// has no kernel for.
void read_panel(const PackedWeight& w, int64_t panel, float* out);

}  // namespace erne::cpu
