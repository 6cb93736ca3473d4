// The lanes of AVX2 with FMA and F16C, for ERNE_LANES_FILE.
#pragma once

#include "cpu/lanes/avx2_dots.h"
#include "cpu/lanes/avx2_lanes.h"

namespace erne::cpu {
namespace {

constexpr bool kMultipliesPairs = false;

}  // namespace
}  // namespace erne::cpu
