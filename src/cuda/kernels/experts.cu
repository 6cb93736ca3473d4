// The mixture of experts. A pair is a token and one of its experts, number token * k + choice: each
// has a row of what its expert makes of the token, and a token's rows are summed at the end.
#include <algorithm>
#include <cmath>

#include "cuda/kernels/expert_products.h"
#include "cuda/kernels/kernels.h"
#include "cuda/kernels/pieces.h"
#include "cuda/kernels/plain_product.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// A token's rows are read at once: those of more pairs need more memory between the products.
constexpr int64_t kMaxPairs = 1 << 15;

// The matrix of every expert.
struct StackReader {
  PackedReader first;
  int64_t stride_bytes;

  explicit StackReader(const StackedLinear& w) : first(w.linear(0)), stride_bytes(w.stride_bytes) {}
  ON_DEVICE PackedReader expert(int64_t e) const {
    PackedReader reader = first;
    reader.data = first.data + e * stride_bytes;
    return reader;
  }
};

// y = W x in plain loops, W being each pair's expert's: any format, any type of activations. A warp
// for each output of each pair.
template <class X, class Y>
struct PlainPairs {
  static constexpr int kThreads = 128;
  static constexpr int kWarps = kThreads / kWarp;

  StackReader w;
  Global<int32_t> experts;  // of each pair
  Global<X> x;
  int64_t pairs_per_row;  // of x
  Global<Y> y;
  int64_t pairs;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t in = w.first.matrix.in, out = w.first.matrix.out;
    const int64_t i = int64_t{block_x()} * kWarps + warp(), pair = i / out, n = i % out;
    if (pair >= pairs) return;
    const PackedReader reader = w.expert(experts[pair]);
    const float sum = plain_product(reader, n, x + pair / pairs_per_row * in);
    if (lane() == 0) y.set(i, from_float<Y>(sum));
  }
};

// `block` neighbours of x by H / sqrt(block), in place: a block of threads for each.
template <class T>
struct Rotate {
  static constexpr int kThreads = 256;

  Global<T> x;
  int block;
  float scale;

  size_t shared_bytes() const { return block * sizeof(float); }

  ON_DEVICE void run() const {
    const Shared<float> sums = shared_memory().as<float>();
    const int64_t begin = int64_t{block_x()} * block;
    for (int i = thread_index(); i < block; i += kThreads) sums.set(i, to_float(x[begin + i]));
    for (int half = 1; half < block; half *= 2) {
      sync_block();
      for (int i = thread_index(); i < block / 2; i += kThreads) {
        const int at = i / half * 2 * half + i % half;
        const float a = sums[at], b = sums[at + half];
        sums.set(at, a + b);
        sums.set(at + half, a - b);
      }
    }
    sync_block();
    for (int i = thread_index(); i < block; i += kThreads)
      x.set(begin + i, from_float<T>(sums[i] * scale));
  }
};

// y (+)= the sum over a token's pairs of weight * row. A thread for each piece of a token.
template <class T, int length>
struct Mix {
  static constexpr int kThreads = 256;
  using P = Piece<T, length>;
  using Row = Piece<float, length>;

  Global<Row> rows;  // [pairs][width]
  Global<float> weights;
  Global<P> y;
  int64_t width;  // in pieces
  int chosen;
  bool add;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t i = int64_t{block_x()} * kThreads + thread_index(), token = block_y();
    if (i >= width) return;
    float sums[length] = {};
    for (int j = 0; j < chosen; ++j) {
      const float weight = weights[token * chosen + j];
      const Row row = rows[(token * chosen + j) * width + i];
      for (int l = 0; l < length; ++l) sums[l] = fma(weight, row.at[l], sums[l]);
    }
    P out = {};
    if (add) out = y[token * width + i];
    for (int l = 0; l < length; ++l)
      out.at[l] = from_float<T>(add ? to_float(out.at[l]) + sums[l] : sums[l]);
    y.set(token * width + i, out);
  }
};

void multiply_plainly(Stream& stream, const StackedLinear& w, const DeviceView& experts,
                      const DeviceView& x, const DeviceView& y) {
  with_activation(x.dtype, [&]<class X>() {
    with_activation(y.dtype, [&]<class Y>() {
      using Kernel = PlainPairs<X, Y>;
      const int64_t pairs = experts.elements();
      launch(stream, {pieces(pairs * w.out, Kernel::kWarps)},
             Kernel{StackReader(w), global<int32_t>(experts), global<X>(x), pairs / x.shape[0],
                    global<Y>(y), pairs});
    });
  });
}

void rotate(Stream& stream, const DeviceView& x, int block) {
  const float scale = 1 / std::sqrt(static_cast<float>(block));
  with_activation(x.dtype, [&]<class T>() {
    launch(stream, {x.elements() / block}, Rotate<T>{global<T>(x), block, scale});
  });
}

void mix(Stream& stream, const DeviceView& rows, const DeviceView& weights, const DeviceView& y,
         bool add) {
  with_pieces(y.dtype, y.shape[1], [&]<class T, int length>() {
    using Kernel = Mix<T, length>;
    const int64_t width = y.shape[1] / length;
    launch(stream, {pieces(width, Kernel::kThreads), y.shape[0]},
           Kernel{global<typename Kernel::Row>(rows), global<float>(weights),
                  global<typename Kernel::P>(y), width, static_cast<int>(weights.shape[1]), add});
  });
}

// Some tokens of a mixture.
struct Tokens {
  DeviceView x, experts, weights, y;

  Tokens(const ExpertsArgs& args, int64_t first, int64_t count)
      : x(args.x.rows(first, count)),
        experts(args.experts.rows(first, count)),
        weights(args.weights.rows(first, count)),
        y(args.y.rows(first, count)) {}
  int64_t pairs() const { return experts.elements(); }
};

// Pairs of a tile: as many as an expert is likely to have at most, so that its weights are read
// once, out of what there are kernels for.
int tile_pairs(int64_t pairs, int64_t num_experts, bool has_warpgroups) {
  const int64_t average = pairs / std::min(pairs, num_experts);
  if (has_warpgroups && average > kWarpgroupPairs * 3 / 4) return kWarpgroupPairs;
  return average <= 4 ? 8 : average <= 8 ? 16 : average <= 48 ? 32 : kManyPairs;
}

class Mixture {
 public:
  Mixture(Stream& stream, Scratch& scratch, MatrixUnits units, const ExpertsArgs& args)
      : stream_(stream),
        scratch_(scratch),
        args_(args),
        has_warpgroups_(units == MatrixUnits::kWarpgroups &&
                        has_warpgroup_product(args.gate_up.linear(0), args.x.dtype) &&
                        has_warpgroup_product(args.down.linear(0), args.x.dtype)) {}

  void run(const Tokens& tokens) {
    const int64_t pairs = tokens.pairs(), num_experts = args_.gate_up.count;
    lists_ = kernels::list_pairs(stream_, scratch_, tokens.experts, num_experts,
                                 tile_pairs(pairs, num_experts, has_warpgroups_));
    const DeviceView ffn = room(args_.x.dtype, {pairs, args_.down.in});
    const DeviceView out = room(DType::kF32, {pairs, args_.down.out});
    gate_up(tokens, ffn);
    if (args_.rotation != 0) rotate(stream_, ffn, args_.rotation);
    multiply(args_.down, tokens, ffn, out, false);
    mix(stream_, out, tokens.weights, tokens.y, args_.add);
  }

 private:
  void gate_up(const Tokens& tokens, const DeviceView& ffn) {
    const int64_t width = ffn.shape[1];
    if (has_fragment_product(args_.gate_up.linear(0), tokens.x.dtype) && width % kPanel == 0)
      return multiply(args_.gate_up, tokens, tokens.x, ffn, true);
    const DeviceView both = room(ffn.dtype, {tokens.pairs(), 2 * width});
    multiply(args_.gate_up, tokens, tokens.x, both, false);
    kernels::silu_mul(stream_, both, ffn);
  }

  // x: a row of each token or of each pair.
  void multiply(const StackedLinear& w, const Tokens& tokens, const DeviceView& x,
                const DeviceView& y, bool is_gated) {
    if (!has_fragment_product(w.linear(0), x.dtype))
      return multiply_plainly(stream_, w, tokens.experts, x, y);
    const ProductRows rows = kernels::product_rows(stream_, scratch_, w, tokens.experts, x);
    const PairInputs inputs{rows, static_cast<int>(tokens.pairs() / rows.num_rows)};
    kernels::multiply_pairs(stream_, scratch_, w, lists_, inputs,
                            {global<std::byte>(y), y.dtype == DType::kF32, is_gated, y.shape[1]});
  }

  DeviceView room(DType type, Shape shape) {
    const auto bytes = static_cast<size_t>(shape.elements()) * dtype_bytes(type);
    return {DeviceAccess::address(scratch_.bytes(bytes)), type, shape};
  }

  Stream& stream_;
  Scratch& scratch_;
  const ExpertsArgs& args_;
  const bool has_warpgroups_;
  ExpertLists lists_;
};

}  // namespace

namespace kernels {

void experts(Stream& stream, Scratch& scratch, MatrixUnits units, const ExpertsArgs& args) {
  const int64_t tokens = args.x.shape[0];
  const int64_t most = std::clamp<int64_t>(kMaxPairs / args.experts.shape[1], 1, tokens);
  Mixture mixture(stream, scratch, units, args);
  for (int64_t first = 0; first < tokens; first += most) {
    scratch.begin_op();
    mixture.run(Tokens(args, first, std::min(most, tokens - first)));
  }
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
