// The arithmetic of the CPU back end: which sums are formed in which order. A result is a function
// of its row's inputs and of (n, k) alone; kernels of every instruction set follow these rules and
// agree bit for bit (but for "tiles"), so none of them may depend on the number of rows, the chunk
// or the threads.
// All sums are float32, all products go into them by fma, rounding is to nearest, denormals are
// zero.
//
// Chain: one fma after the other from 0, k in ascending pairs, of each pair the second first. That
// is what VDPBF16PS does with two bfloat16 each, which has no rounding between product and sum
// either.
//
// Linear, y[n]: k is cut into lengths of kChain. The sum of one is one chain over k; they are added
// ascending to the first one's sum. Lanes lie along n, not along k: so a row of weights needs no
// sum across a register and its bfloat16 pairs no shuffle, one packing serves one row and many, and
// lengths bound the error as well as lanes along k would: 256 + k / 256 steps.
//
// Tiles: linear of bfloat16 where the machine has AMX and Linear::unit_order allows it, for any
// number of rows. k is cut into lengths of 32, zeros behind the last. Of each, one fma chain from
// 0 over the even k and one over the odd k, both ascending; their sum is added to y[n], from 0:
// what TDPBF16PS does. Other machines do not form these sums, so a model has them only where none
// of its weights is quantised: the quantised formats owe equal bits on every machine.
//
// int8 rows: numbers that share a scale. a = the largest |x|, scale = a / 127, q = x * (127 / a)
// rounded to an integer, ties to even. Where 127 / a is infinite, all are zeros with scale 0; where
// one is NaN or infinite, so is the scale, or it is NaN. Where a checkpoint says
// a (Linear::input_largest), it is that, and x * (127 / a) is cut off at 127 and -127.
//
// Integers: linear with weights that are integers w_q times scales (tensor/formats/symmetric_int.h)
// and int8 rows, a scale for each row and group of k (WeightFormat::input_group). A group's sum of
// x_q * w_q is an exact integer; groups ascending, y[n] = fma(sum, scale_x * scale_w, y[n]) from 0.
// With activations as given: as linear, the weights being w_q * scale_w.
//
// Norms, sums: kLanes virtual lanes, lane = index mod 16, each a chain from 0; combine_lanes().
//
// Attention: keys ascend in segments of kSegment positions. In a segment: score = scale * chain
// over d of q[d] * k[d], where d is cut as k in linear; m = the largest score; p = exp(score - m),
// rounded to bfloat16 where queries, keys and values are that; sum of p in lanes; out[d] = one
// chain over the keys of p * v[d]. Segments are merged ascending into (-inf, 0, 0), also when there
// is one: m' = max(m, m_s), a = exp(m - m'), b = exp(m_s - m'), sum' = fma(sum_s, b, sum * a), out'
// = fma(out_s, b, out * a). At the end out / sum. int8 keys and values count as they are stored,
// and their scales enter once: score = (key scale * scale) * chain, and p * value scale stands for
// p in front of v, after the sum of p.
//
// Route: softmax over the experts: exp(z - largest), sum in lanes, one division each; the sum of
// the chosen ascends from the best.
//
// Experts: linear, silu, the rotation of hadamard.h where there is one, and linear as they are
// alone, but for the last one's rounding; then the chain of MixTask (cpu/kernels/kernels.h).
//
// int8 KV: K or V of one token and kv head is an int8 row; fp8 KV likewise, with 448 for 127 and
// numbers of tensor/fp8.h for integers. Where a checkpoint gives each component's largest value a
// (KvLayerView), tokens have no scales: q = bfloat16(x * (127 / a)), cut off and rounded; queries
// are multiplied by a / 127 of the keys and rounded to their type, and the merged out by that of
// the values.
//
// fp8 rows: activations rounded to numbers as block_fp8.h says, multiplied by weights that are fp8
// numbers or integers. A group is 128 inputs. Its sum is one chain over k of products of two
// numbers; groups ascending, y[n] = fma(sum, scale_x * scale_w, y[n]) from 0.
//
// Other products of encoded weights: they are decoded to float32 as tensor/formats/ say; then as
// linear.
//
// exp: exp_f32() below. silu(x) = x / (1 + exp(-x)). rope: angle = position * inv_freq as a float32
// product (rope_angles.h); fma(a, cos, -(b * sin)), fma(b, cos, a * sin).
//
// Values are rounded to the activation type where an op ends, once, as Paddle's fused kernels do
// (Hugging Face's bfloat16 rounds inside norm and silu as well, which is further from its own
// float32). There are two exceptions. A residual sum is rounded before it is normed, since it is
// stored. Probabilities of bfloat16 values are rounded, to be multiplied in pairs: as Hugging
// Face's are, but before they are summed, so that they still sum to 1.
//
// The functions here are for baseline code. A kernel file compiled for an instruction set must not
// call them: the linker could keep its copy for everybody.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace erne::cpu {

constexpr int kLanes = 16;
constexpr int kChain = 256;
constexpr int kSegment = 256;

// exp by its series up to r^7 / 7! after x = n ln2 + r, |r| <= ln2 / 2: relative error below 2^-22.
// Below kExpLow, where the result would come near to a denormal, it is 0; above kExpHigh it stays.
// NaN gives NaN.
constexpr float kExpLow = -87.0f, kExpHigh = 88.0f;
constexpr float kLog2E = 1.44269504f;
constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
constexpr float kRoundToInt =
    12582912.0f;  // 1.5 * 2^23: adding it leaves an integer in the low bits
constexpr float kExpSeries[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24,
                                1.0f / 6,    1.0f / 2,   1.0f,       1.0f};

inline float exp_f32(float x) {
  float clamped = kExpLow > x ? kExpLow : x;
  clamped = kExpHigh < clamped ? kExpHigh : clamped;
  const float shifted = std::fma(clamped, kLog2E, kRoundToInt);
  const float n = shifted - kRoundToInt;
  const float r = std::fma(n, -kLn2Low, std::fma(n, -kLn2High, clamped));
  float p = kExpSeries[0];
  for (int i = 1; i < 8; ++i) p = std::fma(p, r, kExpSeries[i]);
  const uint32_t scaled = std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(shifted) << 23);
  return x < kExpLow ? 0.0f : std::bit_cast<float>(scaled);
}

// The fixed tree: halves are added, 8 + 8, 4 + 4, 2 + 2, 1 + 1. Destroys `lanes`.
inline float combine_lanes(float (&lanes)[kLanes]) {
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

inline float max_of(float a, float b) {
  return a > b ? a : b;
}

}  // namespace erne::cpu
