// The table of kernels that an instruction set brings: each entry does one thread's part of an op
// on plain pointers. Ops are cut into parts outside kernels/, once for all instruction sets.
//
// A kernel file is compiled for its instruction set. Everything it defines is internal to it except
// its table (tests/parity checks that), so it may call no function of another header that is
// neither static nor in a namespace without a name.
#pragma once

#include <cstdint>

#include "backend/kv_view.h"
#include "cpu/arithmetic.h"
#include "cpu/kernels/activation_rows.h"
#include "cpu/packing/fp8_panels.h"
#include "cpu/packing/integer_panels.h"
#include "cpu/packing/packed_weight.h"
#include "cpu/packing/panels.h"
#include "tensor/tensor_view.h"

namespace erne::cpu {

// Some rows and some panels of a product y = x W^T: what one task computes.
struct OutputTile {
  void* y;  // the first of these rows, column 0
  DType type;
  int64_t stride;    // elements from one row to the next
  int64_t num_rows;  // at most kLinearRows
  int64_t out;       // columns of y, and outputs of W
  int64_t first_panel, end_panel;
};
constexpr int kLinearRows = 96;   // divides by 2, 3, 4, 6: no ragged tile between blocks of rows
constexpr int kLinearPanels = 4;  // panels that a kernel works on at a time
// Floats.
constexpr int64_t kLinearScratch = int64_t{kLinearRows} * kLinearPanels * kPanel;

// Activations as given times a plain weight.
struct LinearTask {
  const void* weight;  // panels of W^T, from the matrix' first
  DType weight_type;
  int64_t in;
  // The first of these rows; bfloat16 only where the kernels multiply pairs, the weight is bfloat16
  // and `in` is even.
  ActivationRows x;
  OutputTile y;
};

// int8 or fp8 rows times a weight of an encoding that has a kernel for them.
struct EncodedLinearTask {
  PackedWeight weight;
  ActivationRows x;  // the first of these rows
  OutputTile y;
};

// Activations [num_rows, in] to int8 rows or fp8 rows, the first of them.
struct ConvertTask {
  DType type;
  const void* x;
  int64_t num_rows, in;
  ActivationRows y;
  // int8 rows, whose numbers are zeros from `in` to the next multiple of kCodePadding:
  int64_t group = 0;  // inputs that share a scale
  float largest = 0;  // Linear::input_largest
};

// What an encoding's weights are multiplied by, and how. nullptr where there is no such kernel.
struct EncodingKernels {
  // Times int8 rows. scratch: int8_scratch() bytes, aligned to 64.
  void (*int8_row_linear)(const EncodedLinearTask& task, std::byte* scratch) = nullptr;
  // Times fp8 rows. scratch: kFp8Scratch floats.
  void (*fp8_row_linear)(const EncodedLinearTask& task, float* scratch) = nullptr;
  // The weights of a panel as a panel of float32, [in][16]. Where there is none, read_panel() of
  // cpu/packing/panel_format.h does it.
  void (*decode)(const PackedWeight& weight, int64_t panel, float* out) = nullptr;
  // The same as bfloat16, in pairs, where bfloat16 holds the weights; `in` is never odd.
  void (*decode_pairs)(const PackedWeight& weight, int64_t panel, Bf16* out) = nullptr;
};
// Codes of two panels as bytes.
constexpr int64_t int8_scratch(int64_t in) {
  return 2 * kPanel * round_up(in, kCodePadding);
}
// Numbers of a group of kLinearPanels panels, and sums twice.
constexpr int64_t kFp8Scratch = int64_t{kLinearPanels} * kFp8Group * kPanel + 2 * kLinearScratch;

// y = round(round(x * rsqrt(mean(x^2) + eps)) * weight); with h, x += h first.
struct NormTask {
  DType type;
  void* x;
  const void* h;  // or nullptr
  const void* weight;
  void* y;
  int64_t num_rows, width;
  float eps;
};

// One token: y = round(y + sum) with `add`, else round(sum), where the sum is one chain over its
// rows of weight * row.
struct MixTask {
  DType type;
  void* y;  // [width]
  bool add;
  const float* x;  // all rows, `width` apart
  const int32_t* rows;
  const float* weights;
  int64_t num_rows, width;
};

// Queries of neighbouring tokens of one sequence for one kv head, as rows (token, query head).
struct AttentionTask {
  const KvLayerView* kv;
  const int32_t* blocks;  // the sequence's block table
  int kv_head;
  int heads;  // query heads per kv head
  float scale;
  const void* q;  // first token, first of these heads
  DType q_type;
  int64_t q_stride;  // elements from token to token
  int num_tokens;
  int first_position;  // of the first token
  void* y;             // as q
  int64_t y_stride;
};
constexpr int kAttentionRows = 48;  // rows of a task, unless one token has more

// Per row: the largest score, the sum of probabilities, and the sum of p * v, not yet divided. A
// row without keys in a segment has sum 0.
struct AttentionSums {
  float* max;  // [rows]
  float* sum;  // [rows]
  float* out;  // [rows, head_dim]
};

// Ops that are not here are no kernels: they run once per token or step and not once per weight, so
// the baseline instructions that every x86-64 has do for them. Those are routing
// (expert_routing.h), rotary angles (rope_angles.h), the rotation of experts' inputs (hadamard.h),
// writing KV (kv_blocks.h), rows of embeddings (panel_format.h) and what calibrated attention
// multiplies queries and values by (paged_attention.cpp).
struct Kernels {
  // Whether products of pairs of bfloat16 are one instruction: then linear() takes bfloat16
  // activations as they are, and fp8 rows are bfloat16.
  bool multiplies_pairs;
  // scratch: kLinearScratch floats.
  void (*linear)(const LinearTask& task, float* scratch);
  // The same in the order "tiles" of arithmetic.h, of bfloat16 rows and weights; nullptr where
  // there is no such unit.
  void (*tile_linear)(const LinearTask& task);
  void (*to_int8_rows)(const ConvertTask& task);
  void (*to_fp8_rows)(const ConvertTask& task);
  EncodingKernels encodings[kNumEncodings];  // by Encoding; of kPlain none
  void (*norm)(const NormTask& task);
  // y[r] = silu(gate_up[r, :width]) * gate_up[r, width:].
  void (*silu_mul)(DType type, const void* gate_up, void* y, int64_t num_rows, int64_t width);
  void (*add)(DType type, void* x, const void* h, int64_t count);
  void (*mix)(const MixTask& task);
  // Rotates num_heads heads of each row in place. cosines, sines: [row, head_dim], twice each, the
  // first of a pair of sines negated.
  void (*rope)(DType type, void* x, int64_t stride, int64_t num_rows, int num_heads, int head_dim,
               const float* cosines, const float* sines);
  // Rows of bfloat16 as float32.
  void (*widen)(const Bf16* x, int64_t count, float* y);
  // One segment, into `sums`. scratch: attention_scratch() floats.
  void (*attention_segment)(const AttentionTask& task, int segment, const AttentionSums& sums,
                            float* scratch);
  void (*attention_merge)(const AttentionSums& into, const AttentionSums& from, int64_t num_rows,
                          int64_t head_dim);
  // y = out / sum.
  void (*attention_finish)(const AttentionSums& sums, const AttentionTask& task);
};

constexpr int64_t attention_scratch(int64_t num_rows, int64_t head_dim) {
  return num_rows * (head_dim + kLanes + kSegment) + 2 * kSegment;
}

// The table of a set may be used only where cpu_supports() it.
enum class CpuIsa;
const Kernels& kernels_of(CpuIsa isa);
const Kernels& reference_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& avx512_bf16_kernels();
const Kernels& amx_kernels();

}  // namespace erne::cpu
