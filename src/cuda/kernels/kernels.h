// The kernels, as the host calls them: each function starts one or a few on a stream. Arguments are
// those of the Backend's ops and have been checked there.
#pragma once

#include "backend/backend.h"
#include "cuda/kernels/matrix_units.h"
#include "cuda/language/device_choice.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

struct Stream;
class Scratch;
class AttentionPlanner;

namespace kernels {

// rows.cu: what goes row by row.
void rms_norm(Stream& stream, const DeviceView& x, const DeviceView* h, const DeviceView& weight,
              float eps, const DeviceView& y);  // h: x += h first
void silu_mul(Stream& stream, const DeviceView& gate_up, const DeviceView& y);
void add(Stream& stream, const DeviceView& x, const DeviceView& h);
void gather(Stream& stream, const DeviceView& x, const StagedIndices& rows, const DeviceView& y);
void embed(Stream& stream, const Linear& table, const StagedIndices& ids, const DeviceView& x);

// linear.cu: on the matrix units, where they have such products; else plain_linear().
void linear(Stream& stream, Scratch& scratch, MatrixUnits units, const Linear& w,
            const DeviceView& x, const DeviceView& y);

// plain_linear.cu: any format, activations as given, weights decoded to float32.
void plain_linear(Stream& stream, const Linear& w, const DeviceView& x, const DeviceView& y);

// pack_weights.cu: rows as loaded, in the device's memory, into w; any format but wint2.
void pack_rows(Stream& stream, const Linear& w, const DeviceView& rows, int64_t first_row);

// draw_weights.cu: rows of a random matrix from first_row on; and all of a weight in wint2, numbers
// of that size.
void draw_rows(Stream& stream, const RandomMatrix& matrix, int64_t first_row,
               const DeviceView& rows);
void draw_ccq(Stream& stream, const Linear& w, const RandomMatrix& matrix);

// rope.cu: rotates the first `heads` heads of each row.
void rope(Stream& stream, const DeviceView& qkv, const StagedIndices& positions,
          const DeviceView& inv_freq, int heads);

// kv_write.cu, attention.cu
void kv_write(Stream& stream, const KvWriteArgs& args);
// heads: of queries, a multiple of those of keys.
void rope_kv_write(Stream& stream, const KvWriteArgs& args, const StagedIndices& positions,
                   const DeviceView& inv_freq, int heads);
// shared_bytes: what a block may have.
void attention(Stream& stream, Scratch& scratch, AttentionPlanner& planner, MatrixUnits units,
               size_t shared_bytes, const AttentionArgs& args);

// route.cu, experts.cu
void route(Stream& stream, const RouteArgs& args);
void experts(Stream& stream, Scratch& scratch, MatrixUnits units, const ExpertsArgs& args);

// sample.cu
void sample(Stream& stream, Scratch& scratch, const SampleArgs& args);

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
