// The table of kernels that an instruction set brings: each entry does one thread's part of an op
// on plain pointers. Ops are cut into parts outside kernels/, once for all instruction sets.
//
// A kernel file is compiled for its instruction set. Everything it defines is internal to it except
// its table (tests/parity checks that), so it may call no function of another header that is
// neither static nor in a namespace without a name.
#pragma once

#include <cstdint>

#include "backend/kv_view.h"
#include "cpu/packing/encoded_panels.h"
#include "cpu/packing/integer_panels.h"
#include "tensor/tensor_view.h"

namespace erne::cpu {

// y[r, n] = sum over k of x[r, k] W[n, k], for some rows and for the columns of some panels.
struct LinearTask {
  const void* weight;  // panels of W^T, from the matrix' first
  DType weight_type;
  int64_t in, out;
  int64_t first_panel, end_panel;
  // The first of these rows; bfloat16 only where `bf16_rows` of the table says so, the weight is
  // bfloat16 and `in` is even.
  const void* x;
  DType x_type;
  int64_t x_stride;  // elements
  int64_t num_rows;  // at most kLinearRows
  void* y;           // the first of these rows, column 0
  DType y_type;
  int64_t y_stride;
};
constexpr int kLinearRows = 96;   // divides by 2, 3, 4, 6: no ragged tile between blocks of rows
constexpr int kLinearPanels = 4;  // panels that a kernel works on at a time
constexpr int64_t kLinearScratch = kLinearRows * kLinearPanels * 16;  // floats

// Rows of activations as 8-bit integers, a scale for each group of each row.
struct QuantizedRows {
  int8_t* data;    // [rows, stride], zeros from `in` to the next multiple of kCodePadding
  int64_t stride;  // bytes
  float* scales;   // [rows, num_groups]
  int32_t* sums;   // [rows, num_groups] of the integers
};
struct QuantizeTask {
  DType type;
  const void* x;  // [num_rows, in]
  int64_t num_rows, in, group;
  QuantizedRows y;
  float largest = 0;  // Linear::input_largest
};

// Rows of activations as numbers of tensor/formats/block_fp8.h, a scale for each kFp8Group inputs.
struct Fp8Rows {
  void* data;      // bfloat16 where `bf16_rows` of the table says so, else float32: the numbers
  int64_t stride;  // elements
  float* scales;   // [rows, groups]
};
struct Fp8RoundTask {
  DType type;
  const void* x;  // [num_rows, in]
  int64_t num_rows, in;
  Fp8Rows y;  // the first of these rows
};

// y = x W^T of fp8 activations with weights whose numbers bfloat16 holds: fp8, or codes.
struct Fp8LinearTask {
  bool is_fp8;
  Fp8Panels fp8;     // is_fp8
  CodePanels codes;  // else
  int64_t out;
  int64_t first_panel, end_panel;
  Fp8Rows x;         // the first of these rows
  int64_t num_rows;  // at most kLinearRows
  void* y;           // the first of these rows, column 0
  DType y_type;
  int64_t y_stride;
};
// Numbers of kFp8Group inputs of kLinearPanels panels, and sums twice.
constexpr int64_t kFp8Scratch = kLinearPanels * kFp8Group * kPanel + 2 * kLinearScratch;

// y = x W^T with W's codes, for some rows and for the columns of some panels.
struct CodeLinearTask {
  CodePanels weight;
  int64_t out;
  int64_t first_panel, end_panel;
  QuantizedRows x;   // the first of these rows; kRowPadding further ones may be read
  int64_t num_rows;  // at most kLinearRows
  void* y;           // the first of these rows, column 0
  DType y_type;
  int64_t y_stride;
};

constexpr int kRowPadding = 31;
constexpr int64_t code_scratch(const CodePanels& w) {
  return 2 * kPanel * round_up(w.in, kCodePadding);
}

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

// Queries of neighbouring tokens of one sequence for one kv head, as rows (token, head of the
// group).
struct AttentionTask {
  const KvLayerView* kv;
  const int32_t* blocks;  // the sequence's block table
  int kv_head;
  int group;  // query heads per kv head
  float scale;
  const void* q;  // first token, first head of the group
  DType q_type;
  int64_t q_stride;  // elements from token to token
  int num_tokens;
  int first_position;  // of the first token
  void* y;             // as q
  int64_t y_stride;
};
constexpr int kAttentionRows = 48;  // rows of a task, unless the group alone is larger

// Per row: the largest score, the sum of probabilities, and the sum of p * v, not yet divided. A
// row without keys in a segment has sum 0.
struct AttentionSums {
  float* max;  // [rows]
  float* sum;  // [rows]
  float* out;  // [rows, head_dim]
};

struct Kernels {
  // Whether linear() takes bfloat16 activations as they are.
  bool bf16_rows;
  // scratch: kLinearScratch floats.
  void (*linear)(const LinearTask& task, float* scratch);
  // The same in the order "tiles" of arithmetic.h, of bfloat16 rows and weights; nullptr where
  // there is no such unit.
  void (*tile_linear)(const LinearTask& task);
  void (*quantize)(const QuantizeTask& task);
  // scratch: code_scratch() bytes, aligned to 64.
  void (*code_linear)(const CodeLinearTask& task, uint8_t* scratch);
  // The weights of a panel as a panel of float32, [in][16].
  void (*decode_panel)(const CodePanels& weight, int64_t panel, float* out);
  void (*decode_fp8_panel)(const Fp8Panels& weight, int64_t panel, float* out);
  void (*decode_ccq_panel)(const CcqPanels& weight, int64_t panel, float* out);
  // Likewise as bfloat16, which holds its weights, in pairs; an odd `in` is not met. nullptr where
  // bf16_rows is false.
  void (*decode_ccq_pairs)(const CcqPanels& weight, int64_t panel, Bf16* out);
  void (*round_to_fp8)(const Fp8RoundTask& task);
  // scratch: kFp8Scratch floats.
  void (*fp8_linear)(const Fp8LinearTask& task, float* scratch);
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
  return num_rows * (head_dim + 16 + 256) + 2 * 256;
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
