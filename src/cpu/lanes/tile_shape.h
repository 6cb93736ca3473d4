// The shape of a tile unit's registers. Everything is internal to the file that includes this.
#pragma once

#include <cstdint>

namespace erne::cpu {
namespace {

constexpr int kTileHeight = 16, kTileBytes = 64;

// The rows in use of each tile, at least one.
struct TileShape {
  uint8_t rows[8] = {16, 16, 16, 16, 16, 16, 16, 16};
};

}  // namespace
}  // namespace erne::cpu
