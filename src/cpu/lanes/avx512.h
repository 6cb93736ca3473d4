// The lanes of AVX-512 with VNNI, for ERNE_LANES_FILE.
#pragma once

#include "cpu/lanes/avx512_dots.h"
#include "cpu/lanes/avx512_lanes.h"

namespace erne::cpu {
namespace {

constexpr bool kMultipliesPairs = false;

}  // namespace
}  // namespace erne::cpu
