// The arithmetic of the CUDA back end: which sums are formed in which order. A result is a function
// of its row's inputs and of (n, k) alone: never of how many rows there are, of how they are cut
// into blocks of threads, of the chunk, the draft or the graph that a row is computed in. Kernels
// are free in everything else. (Rules of the kind: He, "Defeating Nondeterminism in LLM Inference",
// 2025.)
//
// All sums are float32 unless said otherwise; outside of matrix units all products go into them by
// fma; rounding is to nearest, denormals are zero. No such sum is formed by atomic additions.
//
// Lanes: a sum of kSumLanes chains, element i in chain i mod kSumLanes (or i / v mod kSumLanes
// where rows are read v elements at a time, which is a function of the width), each ascending from
// 0; then a tree over the lanes of each warp (halves are added: 16, 8, 4, 2, 1), then the warps
// ascending.
//
// Norms: squares in lanes; y = x * (1 / sqrt(sum / width + eps)) * weight.
//
// Matrix units (mma): the products of 16 inputs (32 of 8-bit integers) and what was summed before
// are added in an order that is the device's own, the same for every element and every instruction
// of a kernel. Which inputs go into one instruction is said in cuda/packing/fragments.h. Products
// of many rows and long attention take warpgroups' if a card's give the same bits (choose_units.h).
//
// Linear of bfloat16 activations, y[n]: k is cut into slices(out, in) ranges, at multiples of
// kSliceUnit inputs, as evenly as that allows (slice_begin()). In a range, instructions ascend;
// ranges are added ascending. Weights that are not bfloat16 become it exactly: integers and
// fp8 numbers count as they are stored, and their scales enter behind the sum of a group, or of its
// part in a range: sum' = fma(sum of the group, scale, sum). wint2 is bfloat16 by definition.
//
// int8 rows, fp8 rows: activations that become 8-bit numbers do so as cpu/arithmetic.h says of its
// own; the sum of a group of them is an exact integer, or a chain of instructions; then sum' =
// fma(sum of the group, scale_x * scale_w, sum). Integers give the same bits as on the CPU but for
// the ranges.
//
// Linear of float32 activations, and of float32 weights: weights are decoded to float32; chain l of
// a warp's 32 has the inputs i with i / 4 mod 32 = l, ascending from 0; then the tree over lanes.
//
// Attention: keys ascend in segments of kKvSegment positions, which lie in sections of kKvSection.
// Of a segment: score = scale * (sum over d of q[d] * k[d]); m = the largest score; p = exp(score -
// m); the sum of p; out[d] = sum over the keys of p * v[d]. Segments are merged ascending into
// their section's (-inf, 0, 0), and sections ascending into (-inf, 0, 0), by m' = max(m, m_s), a =
// exp(m - m'), b = exp(m_s - m'), sum' = fma(sum_s, b, sum * a), out' = fma(out_s, b, out * a). At
// the end out / sum. Keys and values of 8 bits count as they are stored, and their scales enter
// once: score = (key scale * scale) * (sum), and p * value scale stands for p in front of v, after
// the sum of p.
//
// In float32 (plain): sums over d and over the keys are chains from 0, ascending; the sum of p a
// tree over each warp's lanes, the warps ascending. On matrix units, of bfloat16 queries where keys
// and values have at most 16 bits and a head 64 or 128 components: sums over d in instructions of
// 16, and over the keys likewise, both ascending from 0; p = 2^fma(score, scale * log2(e), -m), m
// the largest score times scale * log2(e), a and b powers of 2 likewise. p is rounded to bfloat16:
// before it is summed where values are bfloat16, else behind the product with the value's scale.
// The sum of p: a lane's sixteen (cuda/packing/kv_blocks.h) ascending, then a tree over four lanes.
//
// KV: 8-bit numbers and their scales, queries and sums where components have scales: as
// cpu/arithmetic.h says under "int8 KV". Where an input of such a component is NaN or infinite, the
// token's scale is NaN instead of 1.
//
// rope: angle = position * inv_freq as a float32 product; sine and cosine are those of the angle to
// the nearest float32 or its neighbour; fma(a, cos, -(b * sin)), fma(b, cos, a * sin).
//
// Route: p = exp(z - largest) / sum, the sum in lanes of one warp; the chosen are the best by p +
// bias, a NaN last, the lower index where two are equal; their p are added from the best on, and
// each is divided by that sum.
//
// Experts: linear, silu, the rotation of neighbours (sums of two, of neighbours first; then times 1
// / sqrt(block)) where there is one, and linear as they are alone, each rounded as it is alone but
// for the last one's sums; of those a chain of a token's experts, in the order in which they are
// given: sum' = fma(weight, row, sum). That is rounded once, with what y held added to it.
//
// Sample: backend/token_draw.h, which is the host's, too.
//
// exp: cuda/language/numbers.h.
#pragma once

#include <cstdint>

namespace erne::cuda {

constexpr int kSumLanes = 256;

constexpr int kKvSegment = 64, kKvSection = 256;

constexpr int kSliceUnit = 128;  // inputs; every group of a quantised format fits
constexpr int kMostSlices = 8;   // warps of a block

constexpr int64_t slice_units(int64_t in) {
  return (in + kSliceUnit - 1) / kSliceUnit;
}

// In how many ranges the inputs of a matrix are summed, each by a warp of its own: a power of two,
// more while there are fewer than kWantedWarps warps, as long as each range has a unit. An H200
// reads 4.3 TB/s with a latency of about 0.8 us, so 3.4 MB must be on their way, 26 KB for each of
// its 132 multiprocessors; a warp that multiplies few rows has up to 6 KB under way. With one row
// of bfloat16, at once:
//
//              out x in        slices, warps   MB under way, of
//   0.3B qkv   2560 x 1024       8    1280       5.2    5.2
//   o          1024 x 2048       8     512       3.1    4.2
//   gate, up   6144 x 1024       4    1536       9.4   12.6
//   down       1024 x 3072       8     512       3.1    6.3
//   head     103424 x 1024       1    6464       as many as run at once: 6 KB each
//   21B qkv    3584 x 2560       8    1792      11.0   18.4
//   o          2560 x 2560       8    1280       7.9   13.1
//   an expert  3072 x 2560       8    1536       9.4   15.7
//              2560 x 1536       8    1280       7.1    7.9
constexpr int64_t kWantedWarps = 1024;
constexpr int slices(int64_t out, int64_t in) {
  const int64_t panels = (out + 15) / 16, units = slice_units(in);
  int count = 1;
  while (count < kMostSlices && count * panels < kWantedWarps && 2 * count <= units) count *= 2;
  return count;
}

// The first unit of slice `slice` of `count`.
constexpr int64_t slice_begin(int64_t in, int count, int slice) {
  return slice_units(in) * slice / count;
}

}  // namespace erne::cuda
