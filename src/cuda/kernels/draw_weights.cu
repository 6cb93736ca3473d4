// Random weights: for measuring speed, which on a card that is lent for minutes must not begin with
// minutes of drawing on the host.
#include <algorithm>

#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/kernels.h"
#include "cuda/packing/packed_matrix.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

constexpr int kFour = 4;  // elements of one word of a RandomMatrix

struct alignas(kFour * sizeof(Bf16)) FourWeights {
  Bf16 at[kFour];
};

// A thread for each four elements, in one dimension.
struct DrawRows {
  static constexpr int kThreads = 256;

  RandomMatrix matrix;
  Global<Bf16> rows;
  int64_t first, count;  // elements; first is a multiple of kFour

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t i = (int64_t{block_x()} * kThreads + thread_index()) * kFour;
    if (i + kFour <= count) {
      FourWeights four;
      for (int j = 0; j < kFour; ++j) four.at[j] = matrix.element(first + i + j);
      rows.as<FourWeights>().set(i / kFour, four);
    } else {
      for (int64_t j = i; j < count; ++j) rows.set(j, matrix.element(first + j));
    }
  }
};

// Any bits are codes and local scales. A thread for each eight bytes of them, and for the scales of
// each output.
struct DrawCcq {
  static constexpr int kThreads = 256;

  RandomMatrix random;
  PackedMatrix matrix;
  Global<std::byte> data;
  float super, code_scale;

  size_t shared_bytes() const { return 0; }
  constexpr int64_t words() const { return matrix.scales_at / int64_t{sizeof(uint64_t)}; }

  ON_DEVICE void run() const {
    const int64_t i = int64_t{block_x()} * kThreads + thread_index();
    if (i < words()) data.as<uint64_t>().set(i, random.word(i));
    if (i >= matrix.out) return;
    const Global<float> scales = (data + matrix.scales_at).as<float>();
    scales.set(matrix.scale_index(i, 0), super);
    scales.set(matrix.scale_index(i, 1), code_scale);
    scales.set(matrix.scale_index(i, 2), 0);
  }
};

}  // namespace

namespace kernels {

void draw_rows(Stream& stream, const RandomMatrix& matrix, int64_t first_row,
               const DeviceView& rows) {
  CHECK(rows.dtype == DType::kBf16);
  const int64_t first = first_row * rows.shape[1], count = rows.elements();
  CHECK_EQ(first % kFour, 0);
  launch(stream, {pieces(count, kFour * DrawRows::kThreads)},
         DrawRows{matrix, global<Bf16>(rows), first, count});
}

void draw_ccq(Stream& stream, const Linear& w, const RandomMatrix& matrix) {
  // Windows have a mean square of 341, local scales of 77.5, elements of half_width^2 / 3.
  constexpr float kSpread = 281.6f;
  const float super = to_float(to_bf16(matrix.half_width / kSpread));
  const DrawCcq kernel{matrix, PackedMatrix(w),
                       Global<std::byte>(DeviceAccess::pointer(w.data.data)), super,
                       ccq::kCodeScale};
  launch(stream, {pieces(std::max(kernel.words(), w.out), DrawCcq::kThreads)}, kernel);
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
