#include "cuda/kernels/operand_rows.h"

#include "cuda/arithmetic.h"
#include "cuda/packing/fragments.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// A thread has four neighbours of a row, which are two and two of an instruction.
struct OperandRows {
  static constexpr int kThreads = 256;
  static constexpr int kFour = 4;
  struct alignas(8) TwoPairs {
    uint32_t at[2];
  };

  Global<TwoPairs> x;
  Global<uint32_t> y;
  int row_fours;
  Global<int32_t> pairs;  // whose rows; none: all rows as they come
  int pairs_per_row;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int i = block_y() * kThreads + thread_index();
    if (i >= row_fours) return;
    const int64_t row = block_x(), from = pairs ? pairs[row] / pairs_per_row : row;
    const TwoPairs four = x[from * row_fours + i];
    constexpr int kSpanFours = kSpan / kFour;
    const int64_t span = row * row_fours * kFour + i / kSpanFours * kSpan;
    const int first = i % kSpanFours * kFour;
    UNROLLED for (int pair = 0; pair < 2; ++pair)
        y.set((span + operand_place(first + 2 * pair)) / 2, four.at[pair]);
  }
};

ProductRows in_operand_order(Stream& stream, Scratch& scratch, const ProductRows& x,
                             int64_t num_rows, Global<int32_t> pairs, int pairs_per_row) {
  ProductRows y = x;
  y.num_rows = num_rows;
  y.numbers = take<std::byte>(scratch, num_rows * x.row_bytes);
  const auto fours = static_cast<int>(x.row_bytes / sizeof(OperandRows::TwoPairs));
  launch(stream, {num_rows, pieces(fours, OperandRows::kThreads)},
         OperandRows{x.numbers.as<OperandRows::TwoPairs>(), y.numbers.as<uint32_t>(), fours, pairs,
                     pairs_per_row});
  return y;
}

}  // namespace

namespace kernels {

ProductRows operand_rows(Stream& stream, Scratch& scratch, const ProductRows& x) {
  return in_operand_order(stream, scratch, x, x.num_rows, {}, 1);
}

ProductRows operand_rows(Stream& stream, Scratch& scratch, const ProductRows& x,
                         const ExpertLists& lists, int64_t num_pairs) {
  return in_operand_order(stream, scratch, x, num_pairs, lists.pairs,
                          static_cast<int>(num_pairs / x.num_rows));
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
