// What attention reads of a step's tokens: keys and values in their blocks, and where one launch
// does both, rotated before.
#include "cuda/kernels/kernels.h"
#include "cuda/kernels/kv_writer.h"
#include "cuda/kernels/rotation.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// A warp for each head's keys, and for each one's values, of a token.
template <class T, class Kv>
struct KvWrite {
  static constexpr int kThreads = 128;
  static constexpr int kWarps = kThreads / kWarp;

  KvWriter<T, Kv> writer;

  size_t shared_bytes() const { return 0; }
  ON_DEVICE void run() const {
    const int job = block_y() * kWarps + warp(), kv_heads = writer.kv.places.kv_heads;
    if (job < 2 * kv_heads) writer.write(block_x(), job % kv_heads, job >= kv_heads);
  }
};

// A block for each head of keys of a token, and the heads of queries that share it.
template <class T, class Kv>
struct RopeKvWrite {
  static constexpr int kThreads = 128;

  Rotation<T, kMostPairs<T>> rotation;
  KvWriter<T, Kv> writer;
  int group;

  size_t shared_bytes() const { return rotation.shared_bytes(); }
  ON_DEVICE void run() const {
    const int token = block_x(), head = block_y(), kv_heads = writer.kv.places.kv_heads;
    rotation.find_angles(token, kThreads);
    rotation.rotate(token, group * kv_heads + head, 1, kThreads);
    rotation.rotate(token, group * head, group, kThreads);
    sync_block();  // the keys are read as they are now
    if (warp() < 2) writer.write(token, head, warp() == 1);
  }
};

}  // namespace

namespace kernels {

void kv_write(Stream& stream, const KvWriteArgs& args) {
  with_activation(args.qkv.dtype, [&]<class T>() {
    with_kv(args.kv.dtype, [&]<class Kv>() {
      using Kernel = KvWrite<T, Kv>;
      launch(stream, {args.qkv.shape[0], pieces(2 * args.kv.kv_heads, Kernel::kWarps)},
             Kernel{kv_writer<T, Kv>(args)});
    });
  });
}

void rope_kv_write(Stream& stream, const KvWriteArgs& args, const StagedIndices& positions,
                   const DeviceView& inv_freq, int heads) {
  static_assert(kKvPanel % (2 * kMostPairs<Bf16>) == 0, "what head_dim is a multiple of");
  with_activation(args.qkv.dtype, [&]<class T>() {
    with_kv(args.kv.dtype, [&]<class Kv>() {
      using P = Pairs<T, kMostPairs<T>>;
      launch(stream, {args.qkv.shape[0], args.kv.kv_heads},
             RopeKvWrite<T, Kv>{
                 {global<P>(args.qkv), global<int32_t>(positions.values), global<float>(inv_freq),
                  args.qkv.shape[1] / (2 * kMostPairs<T>), static_cast<int>(inv_freq.shape[0])},
                 kv_writer<T, Kv>(args),
                 heads / args.kv.kv_heads});
    });
  });
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
