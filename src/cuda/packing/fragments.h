// How the numbers of a matrix lie in the device's memory: so that a lane's share of a matrix
// instruction is one piece of 16 bytes, and a warp reads 512 bytes in a row.
//
// A panel is 16 outputs. It is cut along k into fragments of 512 bytes: 16 inputs of bfloat16, 32
// of 8 bits, 64 of 4 bits, 128 of 2 bits; behind the last input, zeros up to a whole unit of
// kSliceUnit inputs (cuda/arithmetic.h), so that kernels know no ragged ends. Lane l of a warp has
// bytes [16 l, 16 l + 16) of a fragment: with g = l / 4 and t = l mod 4, numbers of outputs g and g
// + 8.
//
// Of every span of 64 inputs lane t has the sixteen from 16 t on. In which order an instruction
// takes its inputs is free, as long as activations have the same; so these are sixteen neighbours
// in a row of activations, too: two reads of 16 bytes of bfloat16, or one of 8-bit integers. A
// fragment has as many of the sixteen as fit, ascending; with f the first of them, its words are
//
//   bfloat16  (g; f, f+1), (g+8; f, f+1), (g; f+2, f+3), (g+8; f+2, f+3)
//   8 bits    (g; f..f+3), (g+8; f..f+3), (g; f+4..f+7), (g+8; f+4..f+7), where the bytes of a word
//             are its inputs 0, 2, 1, 3: so that pairs are 16 bits apart
//   4 bits    (g; 0..7), (g+8; 0..7), (g; 8..15), (g+8; 8..15): the low halves of a word's bytes
//             are its inputs 0, 2, 1, 3, the high halves 4, 6, 5, 7
//   2 bits    (g; 0..15), (g+8; 0..15) of one span and both of the next: a byte is four inputs
//             (tensor/formats/ccq.h)
//
// An instruction of bfloat16 takes four of each lane's sixteen: lane t's are the places 2t, 2t + 1,
// 2t + 8 and 2t + 9 of its sixteen inputs (PTX ISA, fragments of mma.m16n8k16). Operand order is
// that of these places, instruction by instruction: in it lie rows that instructions read from
// shared memory themselves.
//
// Codes are those of tensor/formats/ (integers with their offset). Behind the fragments of a wint2
// panel lie its local scales: for each fragment 16 bytes, of outputs 0, 8, 1, 9 and so on, the
// first span's in the low half. Scales lie behind all panels: for each panel and group 16 float32.
// float32 matrices are stored row by row.
#pragma once

#include <cstdint>

#include "cuda/arithmetic.h"

namespace erne::cuda {

constexpr int kPanel = 16;
constexpr int kFragmentBytes = 512;
constexpr int kSpan = 64;      // inputs
constexpr int kLaneSpan = 16;  // of them, a lane's

constexpr int fragment_inputs(int bits) {
  return kFragmentBytes * 8 / (kPanel * bits);
}
// Of one output in a lane's share of a fragment, and in one of its words.
constexpr int lane_inputs(int bits) {
  return fragment_inputs(bits) / 4;
}
constexpr int word_inputs(int bits) {
  return 32 / bits;
}

// Which byte of a word has the i-th of four inputs, where bytes are inputs: 0, 2, 1, 3.
constexpr int byte_of_four(int i) {
  return i % 2 * 2 + i / 2;
}

// Where input `k` of a span lies in operand order.
constexpr int operand_place(int k) {
  const int lane = k / kLaneSpan, instruction = k % kLaneSpan / 4, i = k % 4;
  return instruction * 16 + i / 2 * 8 + lane * 2 + i % 2;
}

// Where a number lies in its panel: which fragment, which byte of that, and which bit of the byte
// its code begins at.
struct FragmentPlace {
  int64_t fragment;
  int byte;
  int shift;
};

// Of output `row` of the panel and input k. 2 bits: of the byte that stands for k and its
// neighbours.
constexpr FragmentPlace fragment_place(int bits, int row, int64_t k) {
  const int lane = row % 8 * 4 + static_cast<int>(k % kSpan) / kLaneSpan;
  const int64_t of_lane = k / kSpan * kLaneSpan + k % kLaneSpan;
  const int in_fragment = static_cast<int>(of_lane % lane_inputs(bits));
  const int word = in_fragment / word_inputs(bits) * 2 + row / 8;
  const int in_word = in_fragment % word_inputs(bits);
  const int at = lane * 16 + word * 4;
  const int64_t fragment = of_lane / lane_inputs(bits);
  if (bits == 16) return {fragment, at + in_word * 2, 0};
  if (bits == 2) return {fragment, at + in_word / 4, 0};
  return {fragment, at + byte_of_four(in_word % 4), in_word / 4 * 4};
}

// Of the local scale of output `row` and inputs of `fragment`, from the panel's local scales on.
constexpr int64_t local_scale_at(int64_t fragment, int row) {
  return fragment * kPanel + row % 8 * 2 + row / 8;
}

}  // namespace erne::cuda
