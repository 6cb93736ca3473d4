// One number of a packed weight at a time, for kernels that need few of them or do not have the
// instructions for more.
#pragma once

#include "cuda/language/device_code.h"
#include "cuda/packing/packed_matrix.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

// The code of input i of a fragment's word (cuda/packing/fragments.h).
template <int bits>
ON_DEVICE uint32_t code_in_word(uint32_t word, int i) {
  if (bits == 16) return word >> 16 * i & 0xFFFF;
  if (bits == 2) return word >> 8 * (i / 4) & 0xFF;
  return word >> (8 * byte_of_four(i % 4) + i / 4 * 4) & (bits == 8 ? 0xFF : 15);
}

struct PackedReader {
  PackedMatrix matrix;
  Global<std::byte> data;

  explicit PackedReader(const Linear& w) : matrix(w), data(DeviceAccess::pointer(w.data.data)) {}

  // The weight of output n and input k.
  ON_DEVICE float weight(int64_t n, int64_t k) const {
    return matrix.is_fragmented ? weight_of(code(n, k), n, k)
                                : (data + n * matrix.row_bytes).as<float>()[k];
  }

  // Likewise of a fragmented matrix, whose code is known.
  ON_DEVICE float weight_of(uint32_t code, int64_t n, int64_t k) const {
    switch (matrix.encoding) {
      case Encoding::kPlain:
        return to_float(Bf16{static_cast<uint16_t>(code)});
      case Encoding::kSymmetricInt:
        return static_cast<float>(static_cast<int>(code) - matrix.offset) *
               scale(n, k / matrix.group);
      case Encoding::kBlockFp8:
        return to_float(Fp8{static_cast<uint8_t>(code)}) * scale(n, k / matrix.group);
      case Encoding::kCcq:
        return ccq_weight(code, n, k);
    }
    return 0;
  }

  // The bits of the number, of a fragmented matrix; wint2: the byte that it is part of.
  ON_DEVICE uint32_t code(int64_t n, int64_t k) const {
    const FragmentPlace place = fragment_place(matrix.bits, static_cast<int>(n % kPanel), k);
    const Global<std::byte> at = panel(n) + (place.fragment * kFragmentBytes + place.byte);
    if (matrix.bits == 16) return at.as<uint16_t>()[0];
    const uint32_t byte = at.as<uint8_t>()[0];
    return matrix.bits == 4 ? byte >> place.shift & 15 : byte;
  }

  // The panel that output n belongs to.
  ON_DEVICE Global<std::byte> panel(int64_t n) const {
    return data + n / kPanel * matrix.panel_bytes;
  }

  ON_DEVICE float scale(int64_t n, int64_t i) const {
    return (data + matrix.scales_at).as<float>()[matrix.scale_index(n, i)];
  }

  ON_DEVICE float ccq_weight(uint32_t byte, int64_t n, int64_t k) const {
    const int code =
        ccq::code_of(static_cast<uint8_t>(byte), scale(n, ccq::kCode), scale(n, ccq::kZero));
    return ccq::decode(code, static_cast<int>(k % ccq::kPerByte), local_scale(n, k),
                       to_bf16(scale(n, ccq::kSuper)));
  }

  // kCcq: for the span of input k.
  ON_DEVICE int local_scale(int64_t n, int64_t k) const {
    const int64_t fragment = k / fragment_inputs(matrix.bits);
    const Global<uint8_t> locals = (panel(n) + matrix.locals_at).as<uint8_t>();
    const int both = locals[local_scale_at(fragment, static_cast<int>(n % kPanel))];
    return k / kSpan % 2 == 0 ? both & 15 : both >> 4;
  }
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
