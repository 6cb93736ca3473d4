// What goes row by row: norms, sums, activations, and rows taken from elsewhere.
#include "cuda/arithmetic.h"
#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/kernels.h"
#include "cuda/kernels/packed_reader.h"
#include "cuda/kernels/pieces.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// body.operator()<bits>(), of the numbers of a matrix in fragments.
template <class Body>
void with_bits(int bits, const Body& body) {
  switch (bits) {
    case 16:
      return body.template operator()<16>();
    case 8:
      return body.template operator()<8>();
    case 4:
      return body.template operator()<4>();
    default:
      CHECK_EQ(bits, 2);
      return body.template operator()<2>();
  }
}

// A block for each row. x += h where there is an h; y = x / rms(x) * weight.
template <class T, int length>
struct RmsNorm {
  static constexpr int kThreads = kSumLanes;
  static constexpr int kWarps = kThreads / kWarp;
  using P = Piece<T, length>;

  Global<P> x, h, weight, y;
  int64_t pieces;  // of a row
  float eps;

  size_t shared_bytes() const { return kWarps * sizeof(float); }

  ON_DEVICE void run() const {
    const int64_t row = block_x() * pieces;
    float squares = 0;
    for (int64_t i = thread_index(); i < pieces; i += kThreads) {
      P piece = x[row + i];
      if (h) add_to(piece, row + i);
      for (const T& v : piece.at) squares = fma(to_float(v), to_float(v), squares);
    }
    const float mean = divide(block_sum(squares), static_cast<float>(pieces * length));
    const float by = divide(1.0f, square_root(mean + eps));
    // Each thread reads again what it alone has written.
    for (int64_t i = thread_index(); i < pieces; i += kThreads) {
      P piece = x[row + i];
      const P weights = weight[i];
      for (int j = 0; j < length; ++j)
        piece.at[j] = from_float<T>(to_float(piece.at[j]) * by * to_float(weights.at[j]));
      y.set(row + i, piece);
    }
  }

  ON_DEVICE void add_to(P& piece, int64_t at) const {
    const P other = h[at];
    for (int j = 0; j < length; ++j)
      piece.at[j] = from_float<T>(to_float(piece.at[j]) + to_float(other.at[j]));
    x.set(at, piece);
  }

  ON_DEVICE float block_sum(float v) const {
    const Shared<float> sums = shared_memory().as<float>();
    v = warp_sum(v);
    if (lane() == 0) sums.set(warp(), v);
    sync_block();
    float sum = sums[0];
    for (int i = 1; i < kWarps; ++i) sum += sums[i];
    return sum;
  }
};

// A thread for each piece.
template <class T, int length>
struct Add {
  static constexpr int kThreads = 256;
  using P = Piece<T, length>;

  Global<P> x, h;
  int64_t pieces;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t i = int64_t{block_x()} * kThreads + thread_index();
    if (i >= pieces) return;
    P piece = x[i];
    const P other = h[i];
    for (int j = 0; j < length; ++j)
      piece.at[j] = from_float<T>(to_float(piece.at[j]) + to_float(other.at[j]));
    x.set(i, piece);
  }
};

template <class T, int length>
struct SiluMul {
  static constexpr int kThreads = 256;
  using P = Piece<T, length>;

  Global<P> gate_up, y;
  int64_t width;  // of y, in pieces

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t i = int64_t{block_x()} * kThreads + thread_index();
    if (i >= width) return;
    const int64_t row = block_y();
    const P gate = gate_up[row * 2 * width + i], up = gate_up[row * 2 * width + width + i];
    P out;
    for (int j = 0; j < length; ++j)
      out.at[j] = from_float<T>(silu(to_float(gate.at[j])) * to_float(up.at[j]));
    y.set(row * width + i, out);
  }
};

template <class T, int length>
struct Gather {
  static constexpr int kThreads = 256;
  using P = Piece<T, length>;

  Global<P> x, y;
  Global<int32_t> rows;
  int64_t width;  // in pieces

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t i = int64_t{block_x()} * kThreads + thread_index();
    if (i >= width) return;
    y.set(block_y() * width + i, x[rows[block_y()] * width + i]);
  }
};

// Of a matrix row by row: a thread for each number.
template <class T>
struct EmbedRow {
  static constexpr int kThreads = 256;

  PackedReader table;
  Global<int32_t> ids;
  Global<T> x;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t k = int64_t{block_x()} * kThreads + thread_index();
    if (k >= table.matrix.in) return;
    x.set(block_y() * table.matrix.in + k, from_float<T>(table.weight(ids[block_y()], k)));
  }
};

// Of a matrix in fragments: a thread for each lane's share, half of which is the row's.
template <class T, int bits>
struct EmbedFragments {
  static constexpr int kThreads = 128;
  static constexpr int kLanes = 4;  // of a row in a fragment
  static constexpr int64_t fragments(int64_t in) {
    return slice_units(in) * kSliceUnit / fragment_inputs(bits);
  }

  PackedReader table;
  Global<int32_t> ids;
  Global<T> x;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t i = int64_t{block_x()} * kThreads + thread_index();
    const int64_t fragment = i / kLanes, n = ids[block_y()], in = table.matrix.in;
    const int of_span = static_cast<int>(i % kLanes), row = static_cast<int>(n % kPanel);
    if (fragment >= fragments(in)) return;
    const Global<Words4> lanes = (table.panel(n) + fragment * kFragmentBytes).template as<Words4>();
    const Words4 words = lanes[row % 8 * kLanes + of_span];
    UNROLLED for (int j = 0; j < lane_inputs(bits); ++j) {
      const int64_t of_lane = fragment * lane_inputs(bits) + j;
      const int64_t k = of_lane / kLaneSpan * kSpan + of_span * kLaneSpan + of_lane % kLaneSpan;
      if (k >= in) continue;
      const int word = j / word_inputs(bits) * 2;
      const uint32_t code =
          code_in_word<bits>(row < 8 ? words.at[word] : words.at[word + 1], j % word_inputs(bits));
      x.set(block_y() * in + k, from_float<T>(table.weight_of(code, n, k)));
    }
  }
};

}  // namespace

namespace kernels {

void rms_norm(Stream& stream, const DeviceView& x, const DeviceView* h, const DeviceView& weight,
              float eps, const DeviceView& y) {
  with_pieces(x.dtype, x.shape[1], [&]<class T, int length>() {
    using P = Piece<T, length>;
    launch(stream, {x.shape[0]},
           RmsNorm<T, length>{global<P>(x), h ? global<P>(*h) : Global<P>(), global<P>(weight),
                              global<P>(y), x.shape[1] / length, eps});
  });
}

void add(Stream& stream, const DeviceView& x, const DeviceView& h) {
  with_pieces(x.dtype, x.shape[1], [&]<class T, int length>() {
    using P = Piece<T, length>;
    const int64_t count = x.elements() / length;
    launch(stream, {pieces(count, Add<T, length>::kThreads)},
           Add<T, length>{global<P>(x), global<P>(h), count});
  });
}

void silu_mul(Stream& stream, const DeviceView& gate_up, const DeviceView& y) {
  with_pieces(y.dtype, y.shape[1], [&]<class T, int length>() {
    using P = Piece<T, length>;
    const int64_t width = y.shape[1] / length;
    launch(stream, {pieces(width, SiluMul<T, length>::kThreads), y.shape[0]},
           SiluMul<T, length>{global<P>(gate_up), global<P>(y), width});
  });
}

void gather(Stream& stream, const DeviceView& x, const StagedIndices& rows, const DeviceView& y) {
  with_pieces(x.dtype, x.shape[1], [&]<class T, int length>() {
    using P = Piece<T, length>;
    const int64_t width = x.shape[1] / length;
    launch(stream, {pieces(width, Gather<T, length>::kThreads), y.shape[0]},
           Gather<T, length>{global<P>(x), global<P>(y), global<int32_t>(rows.values), width});
  });
}

void embed(Stream& stream, const Linear& table, const StagedIndices& ids, const DeviceView& x) {
  const PackedReader reader(table);
  with_activation(x.dtype, [&]<class T>() {
    const auto rows = global<int32_t>(ids.values);
    if (!reader.matrix.is_fragmented) {
      launch(stream, {pieces(table.in, EmbedRow<T>::kThreads), x.shape[0]},
             EmbedRow<T>{reader, rows, global<T>(x)});
      return;
    }
    with_bits(reader.matrix.bits, [&]<int bits>() {
      using Kernel = EmbedFragments<T, bits>;
      const int64_t threads = Kernel::fragments(table.in) * Kernel::kLanes;
      launch(stream, {pieces(threads, Kernel::kThreads), x.shape[0]},
             Kernel{reader, rows, global<T>(x)});
    });
  });
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
