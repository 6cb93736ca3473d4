// Rows of a weight as loaded become a packed matrix on the device: encoded where the format says
// so, by the same steps as tensor/formats/ (so with the same codes and scales), and put into the
// order of cuda/packing/fragments.h. wint2 is encoded on the host (cuda/packing/place_rows.h).
#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/kernels.h"
#include "cuda/packing/packed_matrix.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

constexpr int kNeighbours = 4;  // inputs that a thread places

// Where the rows of a run go.
struct Target {
  PackedMatrix matrix;
  Global<std::byte> data;
  int64_t first_row;  // of the run, in the matrix

  ON_DEVICE Global<std::byte> at(int64_t row, int64_t k) const {
    const FragmentPlace place = fragment_place(matrix.bits, static_cast<int>(row % kPanel), k);
    return data +
           (row / kPanel * matrix.panel_bytes + place.fragment * kFragmentBytes + place.byte);
  }
  ON_DEVICE void set_scale(int64_t row, int64_t i, float scale) const {
    (data + matrix.scales_at).as<float>().set(matrix.scale_index(row, i), scale);
  }
};

// A thread for each four inputs of a row: bfloat16 into fragments, float32 into rows.
template <class X>
struct PlacePlain {
  static constexpr int kThreads = 256;

  Target to;
  Global<X> rows;  // [count, in]
  int64_t in;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t k = (int64_t{block_y()} * kThreads + thread_index()) * kNeighbours;
    const int64_t row = block_x(), to_row = to.first_row + row;
    for (int i = 0; i < kNeighbours && k + i < in; ++i) {
      const float value = to_float(rows[row * in + k + i]);
      if (to.matrix.is_fragmented)
        to.at(to_row, k + i).template as<Bf16>().set(0, to_bf16(value));
      else
        (to.data + to_row * to.matrix.row_bytes).template as<float>().set(k + i, value);
    }
  }
};

// A block for each row of integers: first a warp for each group's scale, then a thread for each
// word of codes.
template <class X, int bits>
struct EncodeIntegers {
  static constexpr int kThreads = 256;
  static constexpr int kWarps = kThreads / kWarp;
  static constexpr int kMiddle = 1 << (bits - 1);

  Target to;
  Global<X> rows;  // [count, in]
  int64_t in;
  bool full_range;

  size_t shared_bytes() const { return to.matrix.num_scales * sizeof(float); }

  ON_DEVICE void run() const {
    const Global<X> row = rows + block_x() * in;
    const Shared<float> inverses = shared_memory().as<float>();
    for (int64_t group = warp(); group < to.matrix.num_scales; group += kWarps) {
      const float inverse = scale_group(row, group);
      if (lane() == 0) inverses.set(group, inverse);
    }
    sync_block();
    for (int64_t k = thread_index() * word_inputs(bits); k < in; k += kThreads * word_inputs(bits))
      put_word(row, k, inverses);
  }

  // What weights of the group are multiplied by; writes its scale. Every lane gets the result.
  ON_DEVICE float scale_group(Global<X> row, int64_t group) const {
    constexpr int32_t kSize = 0x7FFFFFFF, kInfinity = 0x7F800000;
    const int64_t begin = group * to.matrix.group;
    const int64_t end = begin + to.matrix.group < in ? begin + to.matrix.group : in;
    // The largest in size, and the first of those: sizes compare as the integers of their bits.
    int32_t most = -1;
    int64_t first = end;
    for (int64_t k = begin + lane(); k < end; k += kWarp) {
      const int32_t size = bits_as<int32_t>(to_float(row[k])) & kSize;
      if (size > most) {
        most = size;
        first = k;
      }
    }
    for (int mask = kWarp / 2; mask > 0; mask /= 2) {
      const int32_t other = shuffle_xor(most, mask);
      const int64_t other_first = shuffle_xor(first, mask);
      if (other > most || (other == most && other_first < first)) {
        most = other;
        first = other_first;
      }
    }
    const float limit = static_cast<float>(full_range ? -kMiddle : kMiddle - 1);
    const float nan = bits_as<float>(0x7FC00000);
    const float signed_largest = most >= kInfinity ? nan : to_float(row[first]);
    const float largest = full_range || signed_largest >= 0 ? signed_largest : -signed_largest;
    if (lane() == 0)
      to.set_scale(to.first_row + block_x(), group, to_float(to_bf16(divide(largest, limit))));
    const float quotient = largest == 0 ? 0.0f : divide(limit, largest);
    return is_finite(quotient) ? quotient : 0.0f;
  }

  ON_DEVICE static bool is_finite(float v) {
    return (bits_as<uint32_t>(v) & 0x7F800000) != 0x7F800000;
  }

  ON_DEVICE uint32_t code(Global<X> row, int64_t k, Shared<float> inverses) const {
    if (k >= in) return 0;
    const float inverse = inverses[k / to.matrix.group];
    const float w = inverse == 0 ? 0.0f : to_float(row[k]);
    const float q = w * inverse;
    const int rounded = static_cast<int>(q + (q < 0 ? -0.5f : 0.5f));
    return static_cast<uint32_t>((rounded < kMiddle - 1 ? rounded : kMiddle - 1) + kMiddle);
  }

  ON_DEVICE void put_word(Global<X> row, int64_t k, Shared<float> inverses) const {
    uint32_t word = 0;
    for (int i = 0; i < word_inputs(bits); ++i) {
      const FragmentPlace place = fragment_place(bits, 0, i);
      word |= code(row, k + i, inverses) << (8 * place.byte + place.shift);
    }
    to.at(to.first_row + block_x(), k).template as<uint32_t>().set(0, word);
  }
};

// A block for each square of block_wise_fp8, which begins where the run or a square of it does.
template <class X>
struct EncodeFp8 {
  static constexpr int kThreads = 256;
  static constexpr int kWarps = kThreads / kWarp;
  static constexpr int kSquare = block_fp8::kSquare;

  Target to;
  Global<X> rows;  // [count, in]
  int64_t count, in;

  size_t shared_bytes() const { return kWarps * sizeof(float); }

  ON_DEVICE void run() const {
    const int64_t first = int64_t{block_x()} * kSquare, begin = int64_t{block_y()} * kSquare;
    const int64_t height = count - first < kSquare ? count - first : kSquare;
    const int64_t width = in - begin < kSquare ? in - begin : kSquare;
    const float largest = largest_of(first, begin, height, width);
    const float by = largest == 0 ? 1.0f : divide(kFp8Largest, largest);
    for (int64_t i = thread_index(); i < height * (kSquare / kNeighbours); i += kThreads) {
      const int64_t row = first + i / (kSquare / kNeighbours);
      const int64_t k = begin + i % (kSquare / kNeighbours) * kNeighbours;
      if (k < in) put_word(row, k, by);
    }
    for (int64_t i = thread_index(); i < height; i += kThreads)
      to.set_scale(to.first_row + first + i, block_y(), divide(1.0f, by));
  }

  // NaN where anything is not finite. Which of two comes first changes nothing.
  ON_DEVICE float largest_of(int64_t first, int64_t begin, int64_t height, int64_t width) const {
    float largest = 0;
    for (int64_t i = thread_index(); i < height * width; i += kThreads)
      largest =
          block_fp8::larger(largest, to_float(rows[(first + i / width) * in + begin + i % width]));
    for (int mask = kWarp / 2; mask > 0; mask /= 2)
      largest = block_fp8::larger(largest, shuffle_xor(largest, mask));
    const Shared<float> of_warps = shared_memory().as<float>();
    if (lane() == 0) of_warps.set(warp(), largest);
    sync_block();
    for (int i = 0; i < kWarps; ++i) largest = block_fp8::larger(largest, of_warps[i]);
    return largest;
  }

  ON_DEVICE void put_word(int64_t row, int64_t k, float by) const {
    uint32_t word = 0;
    for (int i = 0; i < kNeighbours && k + i < in; ++i)
      word |= uint32_t{to_fp8(to_float(rows[row * in + k + i]) * by).bits} << 8 * byte_of_four(i);
    to.at(to.first_row + row, k).template as<uint32_t>().set(0, word);
  }
};

}  // namespace

namespace kernels {

void pack_rows(Stream& stream, const Linear& w, const DeviceView& rows, int64_t first_row) {
  const PackedMatrix matrix(w);
  const Target to{matrix, Global<std::byte>(DeviceAccess::pointer(w.data.data)), first_row};
  const int64_t count = rows.shape[0], in = w.in;
  with_activation(rows.dtype, [&]<class X>() {
    const Global<X> from = global<X>(rows);
    if (matrix.encoding == Encoding::kPlain) {
      using Kernel = PlacePlain<X>;
      launch(stream, {count, pieces(in, Kernel::kThreads * kNeighbours)}, Kernel{to, from, in});
    } else if (matrix.encoding == Encoding::kBlockFp8) {
      constexpr int kSquare = block_fp8::kSquare;
      launch(stream, {pieces(count, kSquare), pieces(in, kSquare)},
             EncodeFp8<X>{to, from, count, in});
    } else {
      CHECK(matrix.encoding == Encoding::kSymmetricInt);
      if (matrix.bits == 8)
        launch(stream, {count}, EncodeIntegers<X, 8>{to, from, in, w.format->full_range});
      else
        launch(stream, {count}, EncodeIntegers<X, 4>{to, from, in, w.format->full_range});
    }
  });
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
