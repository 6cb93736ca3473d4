#include <vector>

#include "parity/cases.h"
#include "tensor/weight_format.h"

namespace erne::parity {
namespace {

constexpr const char *kBf16 = "bfloat16", *kF32 = "float32", *kInt8 = "wint8", *kInt4 = "wint4",
                     *kG128 = "wint4_g128", *kG64 = "wint4_g64", *kFp8 = "block_wise_fp8",
                     *kCcq = "wint2";
constexpr LinearInput kE4m3 = LinearInput::kFp8;

constexpr LinearCase kLinearCases[] = {
    // rows, out, in, weight, activation, output
    {1, 1, 1, kBf16, kB, kB},
    {1, 16, 16, kF32, kF, kF},
    {2, 17, 3, kBf16, kF, kF},
    {3, 64, 255, kBf16, kB, kF},
    {4, 65, 256, kF32, kF, kF},
    {5, 31, 257, kBf16, kB, kB},
    {6, 127, 512, kBf16, kF, kF},
    {7, 131, 513, kF32, kB, kB},
    {16, 96, 1024, kBf16, kB, kB},
    {33, 80, 97, kBf16, kB, kF},
    {97, 33, 130, kF32, kF, kF},
    {193, 48, 64, kBf16, kB, kB},
    {1, 336, 1024, kBf16, kB, kB},
    {1, 80, 3072, kBf16, kB, kB},
    // in the order of a matrix unit: one tile of rows, two, more; ragged ends of k
    {1, 1, 2, kBf16, kB, kF, kGiven, false, true},
    {1, 330, 96, kBf16, kB, kB, kGiven, false, true},
    {5, 33, 30, kBf16, kB, kF, kGiven, false, true},
    {16, 80, 256, kBf16, kB, kB, kGiven, false, true},
    {17, 31, 98, kBf16, kB, kF, kGiven, false, true},
    {33, 48, 64, kBf16, kB, kB, kGiven, false, true},
    {97, 70, 1030, kBf16, kB, kF, kGiven, false, true},
    {3, 40, 255, kBf16, kB, kB, kGiven, false, true},
    // codes, as they are
    {1, 1, 1, kInt8, kB, kB},
    {3, 33, 129, kInt8, kF, kF},
    {2, 17, 7, kInt4, kB, kF},
    {5, 65, 257, kInt4, kB, kB},
    {7, 80, 300, kG128, kB, kF},
    {97, 70, 130, kG64, kF, kF},
    // codes times 8-bit activations: every height of a tile, several panels, ragged groups
    {1, 1, 1, kInt8, kF, kF, kQuant},
    {1, 1, 1, kG64, kB, kB, kQuant},
    {1, 336, 1024, kInt8, kB, kB, kQuant},
    {1, 1040, 1024, kInt4, kB, kB, kQuant},
    {1, 400, 3072, kG128, kB, kF, kQuant},
    {2, 130, 129, kInt8, kF, kF, kQuant},
    {2, 131, 127, kInt4, kF, kF, kQuant},
    {3, 97, 65, kG64, kF, kF, kQuant},
    {3, 96, 640, kInt8, kB, kB, kQuant},
    {4, 65, 256, kG128, kF, kF, kQuant},
    {5, 31, 130, kInt8, kB, kF, kQuant},
    {5, 31, 257, kInt4, kB, kB, kQuant},
    {6, 48, 512, kG64, kB, kF, kQuant},
    {7, 131, 513, kG128, kB, kB, kQuant},
    {8, 40, 1024, kInt8, kF, kF, kQuant},
    {9, 64, 30, kInt4, kF, kF, kQuant},
    {13, 33, 384, kInt8, kF, kF, kQuant},
    {16, 96, 1024, kG128, kB, kB, kQuant},
    {33, 80, 97, kG64, kB, kF, kQuant},
    {97, 33, 136, kInt8, kF, kF, kQuant},
    {193, 48, 264, kG128, kF, kF, kQuant},
    // by scales that a checkpoint gives, beyond which some activations are
    {3, 97, 65, kG64, kF, kF, kQuant, false, false, 0.75f},
    {7, 33, 300, kInt4, kB, kF, kQuant, false, false, 0.5f},
    {40, 48, 130, kInt8, kB, kB, kQuant, false, false, 2},
    // turned into float32 on the way
    {1, 1, 1, kFp8, kB, kB},
    {3, 130, 257, kFp8, kF, kF},
    {1, 1, 1, kFp8, kF, kF, kE4m3},
    {5, 300, 384, kFp8, kB, kB, kE4m3},
    {97, 33, 130, kFp8, kF, kF, kE4m3},
    {4, 65, 256, kInt4, kB, kF, kE4m3},
    {1, 1, 1, kCcq, kF, kF},
    {2, 17, 7, kCcq, kB, kF},
    {5, 65, 321, kCcq, kF, kF},
    {33, 48, 640, kCcq, kB, kB},
    // ERNIE-4.5-0.3B: qkv, o, gate and up, down, head; one row, few, a chunk
    {1, 2560, 1024, kBf16, kB, kB, kGiven, true, true},
    {1, 1024, 2048, kBf16, kB, kB, kGiven, true, true},
    {1, 6144, 1024, kBf16, kB, kB, kGiven, true, true},
    {1, 1024, 3072, kBf16, kB, kB, kGiven, true, true},
    {1, 103424, 1024, kBf16, kB, kF, kGiven, true, true},
    {2, 103424, 1024, kBf16, kB, kF, kGiven, true, true},
    {4, 103424, 1024, kBf16, kB, kF, kGiven, true, true},
    {8, 103424, 1024, kBf16, kB, kF, kGiven, true, true},
    {32, 6144, 1024, kBf16, kB, kB, kGiven, true, true},
    {512, 2560, 1024, kBf16, kB, kB, kGiven, true, true},
    {512, 1024, 2048, kBf16, kB, kB, kGiven, true, true},
    {512, 6144, 1024, kBf16, kB, kB, kGiven, true, true},
    {512, 1024, 3072, kBf16, kB, kB, kGiven, true, true},
    {512, 6144, 1024, kF32, kF, kF, kGiven, true},
    {1, 6144, 1024, kInt8, kB, kB, kQuant, true},
    {1, 1024, 3072, kInt8, kB, kB, kQuant, true},
    {16, 6144, 1024, kInt8, kB, kB, kQuant, true},
    {512, 6144, 1024, kInt8, kB, kB, kQuant, true},
    {512, 1024, 3072, kInt8, kB, kB, kQuant, true},
    {1, 2560, 1024, kG128, kB, kB, kQuant, true},
    {1, 1024, 2048, kG128, kB, kB, kQuant, true},
    {1, 6144, 1024, kG128, kB, kB, kQuant, true},
    {1, 1024, 3072, kG128, kB, kB, kQuant, true},
    {1, 103424, 1024, kG128, kB, kF, kQuant, true},
    {4, 6144, 1024, kG128, kB, kB, kQuant, true},
    {16, 6144, 1024, kG128, kB, kB, kQuant, true},
    {32, 6144, 1024, kG128, kB, kB, kQuant, true},
    {32, 103424, 1024, kG128, kB, kF, kQuant, true},
    {512, 2560, 1024, kG128, kB, kB, kQuant, true},
    {512, 1024, 2048, kG128, kB, kB, kQuant, true},
    {512, 6144, 1024, kG128, kB, kB, kQuant, true},
    {512, 1024, 3072, kG128, kB, kB, kQuant, true},
    {1, 6144, 1024, kG128, kB, kB, kGiven, true},
    {1, 6144, 1024, kFp8, kB, kB, kE4m3, true},
    {512, 6144, 1024, kFp8, kB, kB, kE4m3, true},
    {1, 6144, 1024, kCcq, kB, kB, kGiven, true},
    {512, 6144, 1024, kCcq, kB, kB, kGiven, true},
    {512, 6144, 1024, kG128, kB, kB, kGiven, true},
};

// And each quantised format that there is: as given, and times what goes with it.
std::vector<LinearCase> all_cases() {
  std::vector<LinearCase> cases(std::begin(kLinearCases), std::end(kLinearCases));
  for (const WeightFormat& format : weight_formats()) {
    if (!format.is_quantized()) continue;
    cases.push_back({6, 83, 203, format.name, kB, kF});
    cases.push_back({18, 150, 204, format.name, kB, kF});
    if (format.input != kGiven) cases.push_back({18, 150, 204, format.name, kF, kF, format.input});
  }
  return cases;
}

}  // namespace

std::span<const LinearCase> linear_cases() {
  static const std::vector<LinearCase> cases = all_cases();
  return cases;
}

std::string case_name(const LinearCase& c) {
  return "rows" + std::to_string(c.rows) + "_out" + std::to_string(c.out) + "_in" +
         std::to_string(c.in) + "_" + c.format + "_" + dtype_name(c.activation) +
         (c.input == kQuant  ? "_as_int8_"
          : c.input == kE4m3 ? "_as_fp8_"
                             : "_") +
         dtype_name(c.output) + (c.unit_order ? "_unit_order" : "") +
         (c.input_largest > 0 ? "_fixed" : "");
}

}  // namespace erne::parity
