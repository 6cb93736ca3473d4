#include "parity/cases.h"

namespace erne::parity {
namespace {

constexpr DType kB = DType::kBf16, kF = DType::kF32;

constexpr LinearCase kCases[] = {
    // rows, out, in, weight, activation, output
    {1, 1, 1, kB, kB, kB},
    {1, 16, 16, kF, kF, kF},
    {2, 17, 3, kB, kF, kF},
    {3, 64, 255, kB, kB, kF},
    {4, 65, 256, kF, kF, kF},
    {5, 31, 257, kB, kB, kB},
    {6, 127, 512, kB, kF, kF},
    {7, 131, 513, kF, kB, kB},
    {16, 96, 1024, kB, kB, kB},
    {33, 80, 97, kB, kB, kF},
    {97, 33, 130, kF, kF, kF},
    {193, 48, 64, kB, kB, kB},
    {1, 336, 1024, kB, kB, kB},
    {1, 80, 3072, kB, kB, kB},
    // ERNIE-4.5-0.3B: qkv, o, gate and up, down, head; one row, few, a chunk
    {1, 2560, 1024, kB, kB, kB, true},
    {1, 1024, 2048, kB, kB, kB, true},
    {1, 6144, 1024, kB, kB, kB, true},
    {1, 1024, 3072, kB, kB, kB, true},
    {1, 103424, 1024, kB, kB, kF, true},
    {2, 103424, 1024, kB, kB, kF, true},
    {4, 103424, 1024, kB, kB, kF, true},
    {8, 103424, 1024, kB, kB, kF, true},
    {32, 6144, 1024, kB, kB, kB, true},
    {512, 2560, 1024, kB, kB, kB, true},
    {512, 1024, 2048, kB, kB, kB, true},
    {512, 6144, 1024, kB, kB, kB, true},
    {512, 1024, 3072, kB, kB, kB, true},
    {512, 6144, 1024, kF, kF, kF, true},
};

}  // namespace

std::span<const LinearCase> linear_cases() {
  return kCases;
}

std::string case_name(const LinearCase& c) {
  return "rows" + std::to_string(c.rows) + "_out" + std::to_string(c.out) + "_in" +
         std::to_string(c.in) + "_" + dtype_name(c.weight) + "_" + dtype_name(c.activation) + "_" +
         dtype_name(c.output);
}

}  // namespace erne::parity
