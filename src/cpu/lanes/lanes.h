// What the kernels need of an instruction set: values of sixteen lanes, loads and stores, and the
// sums of products. This is the whole contract, and the compiler holds a lanes file to it: it
// warns of a function that is declared here and defined nowhere.
//
// A kernel file says which instruction set it is written for by ERNE_LANES_FILE before its
// includes: avx2.h, avx512.h or avx512_bf16.h of this folder. Everything of that file, of this one
// and of the kernels is internal to the kernel file, because each kernel file has its own.
//
// Lane i of a value is element i of what it was loaded from. Which roundings and which order of
// sums a function owes is in cpu/arithmetic.h.
#pragma once

#include <cstdint>

#ifndef ERNE_LANES_FILE  // of a header that is compiled alone
#define ERNE_LANES_FILE "cpu/lanes/avx512.h"
#endif
#include ERNE_LANES_FILE

#include "tensor/fp8.h"
#include "tensor/tensor_view.h"

namespace erne::cpu {
namespace {

// ---- types, all of them passed by value: Floats and Ints have the operators + and -, Floats also
// * and /. Codes: four bytes for each lane, in memory the lanes after each other. Activations: four
// int8 numbers, the same for every lane.
static_assert(sizeof(Floats) == 64 && sizeof(Ints) == 64 && sizeof(Codes) == 64);
static_assert(requires(Floats v, Ints i, Activations x) { v + v - (v * v) / v, i + i - i, x; });

// ---- sizes of tiles. A tile is what registers hold at a time: the sums of some rows and panels.
// kTileRows: the most rows of a tile of floats; kTileSums: the most Floats of sums in it.
static_assert(kTileRows >= 1 && kTileSums >= kTileRows);
// kDotRows, kDotTile<bits>: likewise of a tile of Dots, for codes of 4 and of 8 bits.
static_assert(kDotRows >= 1 && kDotTile<4> >= 1 && kDotTile<8> >= 1);

// ---- arithmetic on floats
Floats broadcast(float v);
Floats fma(Floats a, Floats b, Floats c);           // a * b + c, rounded once
void add_product(Floats& sum, Floats a, Floats b);  // sum = fma(a, b, sum)
Floats max_of(Floats a, Floats b);                  // a > b ? a : b, so b where either is NaN
Floats min_of(Floats a, Floats b);                  // a < b ? a : b, likewise
Floats absolute(Floats v);
Floats zero_below(Floats x, float limit, Floats v);     // 0 where x < limit, else v
Floats first_lanes(Floats v, int count, Floats other);  // lane i of v where i < count, else other
Floats swap_pairs(Floats v);                            // lanes 2i and 2i + 1 change places
Floats scale_by_power(Floats v, Floats shifted);        // v * 2^n, n in the low bits of shifted
float combine(Floats v);                                // the sum by the tree of combine_lanes()
float largest(Floats v);                                // the largest lane
float inverse_square_root(float v);                     // 1 / sqrt(v), two roundings

// ---- floats in memory: float32, bfloat16, int8, fp8
Floats load(const float* p);
Floats load(const Bf16* p);
Floats load(const int8_t* p);
Floats load(const Fp8* p);        // to_float() of tensor/fp8.h
Floats load_256th(const Fp8* p);  // numbers / 256, in fewer steps; none of them may be NaN
void store(float* p, Floats v);
void store(Bf16* p, Floats v);    // rounded as to_bf16()
Floats rounded_to_fp8(Floats v);  // as tensor/fp8.h has it
template <class T>
Floats rounded(Floats v);  // as if stored as a T and loaded again
// A pair of rows of a panel (cpu/packing/panels.h), for bfloat16 of numbers that it holds exactly;
// and one row of such a pair.
void store_pair(float* p, Floats even, Floats odd);
void store_pair(Bf16* p, Floats even, Floats odd);
template <int odd>
Floats load_row(const Bf16* pair);

// ---- integers
Ints broadcast_int(int32_t v);
int32_t sum_of(Ints v);
Floats converted(Ints v);
Ints bits_of_floats(Floats v);
void store_bytes(int8_t* p, Ints v);  // the low byte of each lane
template <int width>
Ints bits_at(Ints v, int shift);  // `width` bits of each lane, from bit `shift` on

// ---- sums of products of codes and int8 activations
Codes load_codes(const uint8_t* p);
Codes low_halves(Codes c);  // the low four bits of each byte
Codes high_halves(Codes c);
Ints codes_of(Codes c, int i);  // byte i of each lane's four, from 0 to 255
Activations load_activations(const int8_t* x);
// Running sums, code * activation over the four of each lane, of codes of `bits` bits. begin()
// sets where they start; add() is called at most 2 * kDotSteps times before drain(), which may move
// the sums into the total; after the last drain() end() gives the whole. A sum is too large by
// kDotOffset<bits> for each unit of activation: begin() is told so.
template <class Sums>
constexpr bool kAreDots = requires(Sums sums, const Sums all, Ints total, Codes w, Activations x) {
  sums.begin(total, int32_t{});
  sums.add(w, x);
  sums.drain(total);
  total = all.end(total);
};
static_assert(kAreDots<Dots<4>> && kAreDots<Dots<8>> && kDotSteps >= 1);
static_assert(kDotOffset<4> >= 0 && kDotOffset<8> >= 0);

// ---- pairs of bfloat16
// kMultipliesPairs: whether a product of two pairs is one instruction. Only then there are
// load_pairs() and spread_pair(), for 16 pairs and for one in every lane, and
// add_pair_products(sum, x, w), which is sum = fma(even x, even w, fma(odd x, odd w, sum)).
static_assert(sizeof(kMultipliesPairs) == sizeof(bool));

}  // namespace
}  // namespace erne::cpu
