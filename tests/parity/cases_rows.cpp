#include "parity/cases.h"

namespace erne::parity {
namespace {

constexpr RowsCase kRows[] = {
    {1, 1, kF},    {1, 1, kB},    {1, 15, kB},         {2, 16, kF},           {3, 17, kB},
    {5, 64, kF},   {7, 127, kB},  {13, 1021, kF},      {33, 1024, kB},        {17, 3072, kB},
    {64, 768, kF}, {300, 96, kB}, {1, 3072, kB, true}, {512, 1024, kB, true}, {512, 3072, kB, true},
};

const RopeCase kRope[] = {
    // heads, kv_heads, head_dim, activation, positions
    {1, 1, 16, kF, {0}},
    {2, 1, 128, kF, {0, 1, 2, 3}},
    {16, 2, 128, kB, {7, 131071, 255, 131072, 65537}},
    {3, 3, 48, kF, {99991, 1, 1000003}},
    {20, 4, 128, kF, {131071, 16777215}},
};

}  // namespace

std::span<const RowsCase> rows_cases() {
  return kRows;
}
std::span<const RopeCase> rope_cases() {
  return kRope;
}

std::string case_name(const RowsCase& c) {
  return "rows" + std::to_string(c.rows) + "_width" + std::to_string(c.width) + "_" +
         dtype_name(c.activation);
}

std::string case_name(const RopeCase& c) {
  return "tokens" + std::to_string(c.positions.size()) + "_heads" + std::to_string(c.heads) + "x" +
         std::to_string(c.kv_heads) + "_dim" + std::to_string(c.head_dim) + "_" +
         dtype_name(c.activation);
}

}  // namespace erne::parity
