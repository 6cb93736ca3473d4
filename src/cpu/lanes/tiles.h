// A tile unit, as far as the kernels need it: eight tiles of up to 16 rows of 64 bytes. As lanes.h
// is for lanes, this is the whole contract, and ERNE_TILES_FILE says which file brings it: AMX, or
// in tests plain C++ (tests/emulated). Everything is internal to the file that includes this: a
// kernel file, or bench/limits_amx.cpp.
#pragma once

#include <cstdint>

#include "cpu/lanes/tile_shape.h"

#ifndef ERNE_TILES_FILE
#define ERNE_TILES_FILE "cpu/lanes/amx_tiles.h"
#endif
#include ERNE_TILES_FILE

namespace erne::cpu {
namespace {

// Before the first use on a thread; also after release_tiles(). All tiles are zeros then.
void configure_tiles(const TileShape& shape);
// The system saves no tiles of this thread any more.
void release_tiles();

template <int tile>
void zero_tile();
// `stride`: bytes from row to row.
template <int tile>
void load_tile(const void* rows, int64_t stride);
template <int tile>
void store_tile(void* rows, int64_t stride);
// c[m][n] += sum over the four bytes i of each k of a[m][k][i] * b[k][n][i]; a signed, b unsigned.
template <int c, int a, int b>
void multiply_tiles();
// c[m][n] += the sum over k of a[m][k][0] * b[k][n][0], plus that with 1: pairs of bfloat16.
template <int c, int a, int b>
void multiply_pair_tiles();

}  // namespace
}  // namespace erne::cpu
