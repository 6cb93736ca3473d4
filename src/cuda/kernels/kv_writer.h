// Keys and values of a token into their blocks, in the order of cuda/packing/kv_blocks.h.
#pragma once

#include "backend/backend.h"
#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/kv_numbers.h"
#include "cuda/language/device_code.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

inline constexpr int kFour = 4;  // neighbouring components: what a lane stores at once

template <class T>
struct alignas(sizeof(T) * kFour) Four {
  T at[kFour];
};

// v as it is stored: to the nearest number; what is larger than an 8-bit number can be is cut off
// before.
template <class Kv>
ON_DEVICE Kv to_kv(float v) {
  if constexpr (sizeof(Kv) > 1) {
    return from_float<Kv>(v);
  } else if constexpr (std::is_same_v<Kv, Fp8>) {
    return to_fp8(v);
  } else {
    constexpr float kRoundToInt = 12582912.0f;  // 1.5 * 2^23: leaves an integer in the low bits
    return static_cast<int8_t>(bits_as<uint32_t>(v + kRoundToInt));
  }
}

// A warp stores one head's keys, or its values, of a token.
template <class T, class Kv>
struct KvWriter {
  Global<Four<T>> qkv;
  Global<int32_t> slots;
  KvMemory kv;
  int64_t width;     // of a row of qkv, in fours
  int64_t first_kv;  // where the keys begin in it

  ON_DEVICE void write(int row_index, int head, bool of_values) const {
    const int32_t slot = slots[row_index];
    if (slot < 0) return;
    const KvPlaces& places = kv.places;
    const int fours = places.head_dim / kFour, job = head + (of_values ? places.kv_heads : 0);
    const Global<Four<T>> row = qkv + (row_index * width + first_kv + int64_t{job} * fours);
    const Global<std::byte> to = kv.head(slot / places.block_tokens, of_values, head);
    const int token = slot % places.block_tokens;
    if constexpr (sizeof(Kv) > 1) {
      for (int i = lane(); i < fours; i += kWarp)
        store(to, of_values, token, i, row[i], [](float v, int) { return v; });
    } else if (!kv.key_largest) {
      write_scaled(row, to, of_values, token);
    } else {
      const Global<float> sizes =
          (of_values ? kv.value_largest : kv.key_largest) + int64_t{head} * places.head_dim;
      write_fixed(row, to, of_values, token, sizes);
    }
  }

  // With a scale of the token's own: the largest size / the type's largest number.
  ON_DEVICE void write_scaled(Global<Four<T>> row, Global<std::byte> to, bool of_values,
                              int token) const {
    const int fours = kv.places.head_dim / kFour;
    uint32_t largest = 0;  // of sizes the larger has the larger bits, and NaN the largest
    for (int i = lane(); i < fours; i += kWarp) {
      const Four<T> four = row[i];
      for (const T& v : four.at)
        largest = larger(largest, bits_as<uint32_t>(to_float(v)) << 1 >> 1);
    }
    for (int mask = kWarp / 2; mask > 0; mask /= 2)
      largest = larger(largest, shuffle_xor(largest, mask));
    const float size = bits_as<float>(largest);
    float inverse = divide(kLargestKv<Kv>, size), scale = divide(size, kLargestKv<Kv>);
    if (inverse == kInfinity) inverse = scale = 0;
    for (int i = lane(); i < fours; i += kWarp)
      store(to, of_values, token, i, row[i], [=](float v, int) { return v * inverse; });
    if (lane() == 0) kv.scales(to).set(token, scale);
  }

  // With the scales of components: the token's own is 1, or NaN where one of its numbers is none.
  ON_DEVICE void write_fixed(Global<Four<T>> row, Global<std::byte> to, bool of_values, int token,
                             Global<float> sizes) const {
    float scale = 1;
    for (int i = lane(); i < kv.places.head_dim / kFour; i += kWarp)
      store(to, of_values, token, i, row[i], [&](float v, int component) {
        scale = fma(v, 0.0f, scale);
        const float inverse = divide(kLargestKv<Kv>, sizes[component]);
        const float scaled = inverse == kInfinity ? 0 : to_float(to_bf16(v * inverse));
        return scaled > kLargestKv<Kv>    ? kLargestKv<Kv>
               : scaled < -kLargestKv<Kv> ? -kLargestKv<Kv>
                                          : scaled;
      });
    for (int mask = kWarp / 2; mask > 0; mask /= 2) scale *= shuffle_xor(scale, mask);
    if (lane() == 0) kv.scales(to).set(token, scale);
  }

  // Components 4i..4i+3, each as scaled(component's number, component).
  template <class Scaled>
  ON_DEVICE void store(Global<std::byte> to, bool of_values, int token, int i, const Four<T>& four,
                       const Scaled& scaled) const {
    Four<Kv> numbers;
    for (int j = 0; j < kFour; ++j)
      numbers.at[j] = to_kv<Kv>(scaled(to_float(four.at[j]), kFour * i + j));
    if (of_values) {
      for (int j = 0; j < kFour; ++j)
        to.as<Kv>().set(kv.places.value_at(token, kFour * i + j), numbers.at[j]);
    } else {
      Four<Kv> ordered;
      for (int j = 0; j < kFour; ++j) ordered.at[place_in_four(sizeof(Kv), j)] = numbers.at[j];
      to.as<Four<Kv>>().set(kv.places.key_at(token, kFour * i) / kFour, ordered);
    }
  }

  ON_DEVICE static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }
};

template <class T, class Kv>
KvWriter<T, Kv> kv_writer(const KvWriteArgs& args) {
  const int64_t width = args.qkv.shape[1];
  const int64_t kv_width = int64_t{args.kv.kv_heads} * args.kv.head_dim;
  return {global<Four<T>>(args.qkv), global<int32_t>(args.slots.values), KvMemory(args.kv),
          width / kFour, (width - 2 * kv_width) / kFour};
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
