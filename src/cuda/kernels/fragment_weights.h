// What a lane makes of its share of a matrix's fragments (cuda/packing/fragments.h): the first
// operand of matrix instructions. One struct for each form of weights, with
//
//   kBits, kSpans       of a number; spans of 64 inputs that are read at a time
//   Panel               what belongs to the lane's two outputs of a panel, for all of k
//   Piece               what is read at a time, of one panel; load()
//   operand()           of step `step` of a piece: a, of the lane's inputs 4 step to 4 step + 3 as
//                       bfloat16; with kIntegers, of 8 step to 8 step + 7 as integers, kShift bits
//                       to the left
//   kHasScales          whether sums are to be multiplied by scales of the matrix
//   kHasLocals          whether a panel's fragments have 16 bytes of local scales each; take()
//                       finds those of the pieces it takes from behind `fragment_words` words
//
// All numbers come out exactly.
#pragma once

#include "base/check.h"
#include "cuda/kernels/packed_reader.h"
#include "cuda/language/device_code.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

constexpr uint32_t kBf16One = 0x3F803F80;  // 1, twice

// The lane's share of `count` fragments in a row.
template <int count>
struct Fragments {
  Words4 at[count];

  ON_DEVICE void load(Global<std::byte> panel, int piece) {
    const Global<Words4> from = panel.as<Words4>() + (int64_t{piece} * count * kWarp + lane());
    UNROLLED for (int i = 0; i < count; ++i) at[i] = read_once(from + i * kWarp);
  }
  // Piece `piece` of those that lie there.
  ON_DEVICE void take(Shared<Words4> from, int piece, int) {
    UNROLLED for (int i = 0; i < count; ++i) at[i] = from[(piece * count + i) * kWarp + lane()];
  }
};

// Weights without anything of their own for all of k.
struct NoPanel {
  ON_DEVICE void load(const PackedReader&, int64_t) {}
};

template <int bits>
struct PlainPieces {
  static constexpr int kBits = bits, kSpans = 1, kShift = 0;
  static constexpr bool kHasLocals = false;
  using Panel = NoPanel;
  struct Piece : Fragments<kSpan / fragment_inputs(bits)> {
    ON_DEVICE void load(const PackedReader&, Global<std::byte> panel, int piece) {
      Fragments<kSpan / fragment_inputs(bits)>::load(panel, piece);
    }
  };
};

struct Bf16Weights : PlainPieces<16> {
  static constexpr bool kIntegers = false, kHasScales = false;

  static ON_DEVICE void operand(const Panel&, const Piece& piece, int step, uint32_t (&a)[4]) {
    UNROLLED for (int i = 0; i < 4; ++i) a[i] = piece.at[step].at[i];
  }
};

// Of words with numbers 0, 2, 1, 3 of outputs g and g + 8: pairs(word) are numbers 0 and 1,
// pairs(word >> 8) numbers 2 and 3.
template <class Pairs>
ON_DEVICE void operand_of_pairs(uint32_t low, uint32_t high, const Pairs& pairs, uint32_t (&a)[4]) {
  a[0] = pairs(low);
  a[1] = pairs(high);
  a[2] = pairs(low >> 8);
  a[3] = pairs(high >> 8);
}

// Codes of 8 bits as bfloat16. With c the lower seven bits, 128 + c is a bfloat16 number whose last
// bits are c; the code is 128 more than its integer, so 128 is to be taken away where the code has
// its upper bit and 256 where it has not.
struct Int8AsBf16 : PlainPieces<8> {
  static constexpr bool kIntegers = false, kHasScales = true;

  static ON_DEVICE uint32_t pair(uint32_t codes) {
    const uint32_t sum = (codes & 0x007F007F) | 0x43004300;
    const uint32_t excess = (codes & 0x00800080) ^ 0xC380C380;
    return fma_pair(sum, kBf16One, excess);
  }
  static ON_DEVICE void operand(const Panel&, const Piece& piece, int step, uint32_t (&a)[4]) {
    const Words4& words = piece.at[step / 2];
    const int i = step % 2 * 2;
    operand_of_pairs(words.at[i], words.at[i + 1], pair, a);
  }
};

// Codes of 4 bits as bfloat16, likewise: 128 + code, less 136.
struct Int4AsBf16 : PlainPieces<4> {
  static constexpr bool kIntegers = false, kHasScales = true;

  static ON_DEVICE uint32_t pair(uint32_t codes) {
    return fma_pair((codes & 0x000F000F) | 0x43004300, kBf16One, 0xC308C308);
  }
  static ON_DEVICE void operand(const Panel&, const Piece& piece, int step, uint32_t (&a)[4]) {
    const int i = step / 2 * 2, shift = step % 2 * 4;
    operand_of_pairs(piece.at[0].at[i] >> shift, piece.at[0].at[i + 1] >> shift, pair, a);
  }
};

// Numbers of tensor/fp8.h as bfloat16. NaN is in the scales.
struct Fp8AsBf16 : PlainPieces<8> {
  static constexpr bool kIntegers = false, kHasScales = true;

  static ON_DEVICE void operand(const Panel&, const Piece& piece, int step, uint32_t (&a)[4]) {
    const Words4& words = piece.at[step / 2];
    const int i = step % 2 * 2;
    operand_of_pairs(words.at[i], words.at[i + 1], widened_fp8_pair, a);
  }
};

struct Int8Weights : PlainPieces<8> {
  static constexpr bool kIntegers = true, kHasScales = true;

  static ON_DEVICE void operand(const Panel&, const Piece& piece, int step, uint32_t (&a)[4]) {
    UNROLLED for (int i = 0; i < 4; ++i) a[i] = piece.at[step].at[i] ^ 0x80808080;
  }
};

// 16 times the integer: its code is the upper half of a byte, where 8 less is the sign bit.
struct Int4Weights : PlainPieces<4> {
  static constexpr bool kIntegers = true, kHasScales = true;
  static constexpr int kShift = 4;

  static ON_DEVICE void operand(const Panel&, const Piece& piece, int step, uint32_t (&a)[4]) {
    UNROLLED for (int i = 0; i < 2; ++i) {
      const uint32_t word = piece.at[0].at[2 * step + i];
      a[i] = (word << 4 & 0xF0F0F0F0) ^ 0x80808080;
      a[i + 2] = (word & 0xF0F0F0F0) ^ 0x80808080;
    }
  }
};

// wint2 (tensor/formats/ccq.h), whose weights are bfloat16 numbers. A piece is two spans. The same
// numbers as ccq::code_of() and ccq::decode() give, without conversions, which are slow: a byte or
// a window becomes the last bits of a number. With w the six bits of a window, (64 + w) * scale -
// 96 * scale is exact, since scale has 12 bits.
struct CcqWeights {
  static constexpr int kBits = 2, kSpans = 2, kShift = 0;
  static constexpr bool kIntegers = false, kHasScales = false, kHasLocals = true;

  struct Panel {
    float code_scale[2], code_zero[2], super[2];  // of outputs g and g + 8

    ON_DEVICE void load(const PackedReader& w, int64_t panel) {
      UNROLLED for (int i = 0; i < 2; ++i) {
        const int64_t n = panel * kPanel + lane() / 4 + 8 * i;
        code_scale[i] = w.scale(n, ccq::kCode);
        code_zero[i] = w.scale(n, ccq::kZero);
        super[i] = w.scale(n, ccq::kSuper);
      }
    }
  };

  struct Piece : Fragments<1> {
    uint32_t locals;  // of outputs g and g + 8, a byte each; the first span in the low half

    ON_DEVICE void load(const PackedReader& w, Global<std::byte> panel, int piece) {
      Fragments<1>::load(panel, piece);
      locals = (panel + w.matrix.locals_at).as<uint16_t>()[int64_t{piece} * 8 + lane() / 4];
    }
    ON_DEVICE void take(Shared<Words4> from, int piece, int fragment_words) {
      Fragments<1>::take(from, piece, fragment_words);
      locals = (from + (fragment_words + piece)).as<uint16_t>()[lane() / 4];
    }
  };

  // A small integer as a number.
  static ON_DEVICE float last_bits(uint32_t integer) {
    return bits_as<float>(integer | 0x4B000000) - 0x1p23f;
  }
  static ON_DEVICE uint32_t code_of(uint32_t byte, float code_scale, float code_zero) {
    const auto code =
        static_cast<uint32_t>(floor_to_int(last_bits(byte) * code_scale + code_zero + 0.5f));
    return code < 32768 ? code : 0;
  }

  static ON_DEVICE void operand(const Panel& panel, const Piece& piece, int step,
                                uint32_t (&a)[4]) {
    UNROLLED for (int i = 0; i < 2; ++i) {
      const uint32_t byte = piece.at[0].at[step / 4 * 2 + i] >> step % 4 * 8 & 0xFF;
      const uint32_t code = code_of(byte, panel.code_scale[i], panel.code_zero[i]);
      const uint32_t local = piece.locals >> (8 * i + step / 4 * 4) & 15;
      const float scale = last_bits(local) * panel.super[i];
      const auto weight = [&](int j) {
        const uint32_t window = (code << (8 + 3 * j) & 0x007E0000) | 0x3F800000;  // 1 + w / 64
        return fma(bits_as<float>(window), 64 * scale, -96 * scale);
      };
      a[i] = rounded_pair(weight(0), weight(1));
      a[i + 2] = rounded_pair(weight(2), weight(3));
    }
  }
};

// body.operator()<Weights, input>() for a matrix and activations as given.
template <class Body>
void with_given_weights(const WeightFormat& format, const Body& body) {
  constexpr LinearInput kGiven = LinearInput::kAsGiven;
  switch (format.encoding) {
    case Encoding::kPlain:
      return body.template operator()<Bf16Weights, kGiven>();
    case Encoding::kSymmetricInt:
      if (format.bits == 8) return body.template operator()<Int8AsBf16, kGiven>();
      return body.template operator()<Int4AsBf16, kGiven>();
    case Encoding::kBlockFp8:
      return body.template operator()<Fp8AsBf16, kGiven>();
    case Encoding::kCcq:
      return body.template operator()<CcqWeights, kGiven>();
  }
}

// For activations that are 8-bit numbers with scales.
template <class Body>
void with_quantized_weights(const WeightFormat& format, LinearInput input, const Body& body) {
  constexpr LinearInput kInt8 = LinearInput::kInt8, kFp8 = LinearInput::kFp8;
  const bool is_int8 = input == kInt8;
  if (format.encoding == Encoding::kBlockFp8) {
    CHECK(!is_int8);
    return body.template operator()<Fp8AsBf16, kFp8>();
  }
  CHECK(format.encoding == Encoding::kSymmetricInt);
  if (format.bits == 8)
    return is_int8 ? body.template operator()<Int8Weights, kInt8>()
                   : body.template operator()<Int8AsBf16, kFp8>();
  return is_int8 ? body.template operator()<Int4Weights, kInt8>()
                 : body.template operator()<Int4AsBf16, kFp8>();
}

}  // namespace
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
