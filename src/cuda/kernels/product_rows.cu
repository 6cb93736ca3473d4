// Rows of activations become what products read: padded, or 8-bit numbers with scales.
#include "cuda/kernels/product_rows.h"

#include "cuda/arithmetic.h"
#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/pieces.h"
#include "cuda/packing/fragments.h"
#include "cuda/runtime/launch.h"
#include "tensor/formats/block_fp8.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

constexpr int kFour = 4;  // inputs that a lane converts
static_assert(kFour * kWarp == kSliceUnit);

// A warp's place in [num_rows, units], and the lane's inputs there: 4 lane to 4 lane + 3.
template <class X>
struct UnitOfRow {
  int64_t row, unit;

  ON_DEVICE UnitOfRow(int warps, int64_t units) {
    const int64_t index = int64_t{block_x()} * warps + warp();
    row = index / units;
    unit = index % units;
  }
  ON_DEVICE int64_t first() const { return unit * kSliceUnit + lane() * kFour; }

  // Of row `source` of x; zeros behind the last.
  ON_DEVICE void read(Global<X> x, int64_t source, int64_t in, float (&values)[kFour]) const {
    const int64_t at = source * in + first();
    if (in % kFour == 0) {
      Piece<X, kFour> piece = {};
      if (first() < in) piece = x.template as<Piece<X, kFour>>()[at / kFour];
      UNROLLED for (int i = 0; i < kFour; ++i) values[i] = to_float(piece.at[i]);
    } else {
      UNROLLED for (int i = 0; i < kFour; ++i) values[i] =
          first() + i < in ? to_float(x[at + i]) : 0;
    }
  }
};

// Over the lanes that have inputs of one group. poison: 0, or NaN where a value is not finite.
struct GroupFacts {
  float most = 0, poison = 0;

  ON_DEVICE GroupFacts(const float (&values)[kFour], int group) {
    UNROLLED for (int i = 0; i < kFour; ++i) {
      const float size = values[i] < 0 ? -values[i] : values[i];
      most = size > most ? size : most;
      poison = fma(values[i], 0.0f, poison);
    }
    for (int mask = group / kFour / 2; mask > 0; mask /= 2) {
      const float other = shuffle_xor(most, mask);
      most = other > most ? other : most;
      poison += shuffle_xor(poison, mask);
    }
  }
};

// The first lane of each group stores its scale.
ON_DEVICE void set_scale(const ProductRows& y, int64_t row, int64_t first, float scale) {
  if (first % y.group == 0) y.scales.set(first / y.group * y.num_rows + row, scale);
}

// bfloat16 as it is.
struct PadRows {
  static constexpr int kThreads = 128;

  Global<Bf16> x;
  ProductRows y;
  int64_t in, units;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const UnitOfRow<Bf16> place(kThreads / kWarp, units);
    if (place.row >= y.num_rows) return;
    float values[kFour];
    place.read(x, place.row, in, values);
    Piece<Bf16, kFour> out;
    UNROLLED for (int i = 0; i < kFour; ++i) out.at[i] = to_bf16(values[i]);
    (y.numbers + place.row * y.row_bytes).as<Piece<Bf16, kFour>>().set(place.first() / kFour, out);
  }
};

// Where a row of integers comes from, and the largest number that it is made for.
struct RowSource {
  float largest = 0;  // 0: each group's own
  // Of a mixture: row p is made of row p / pairs_per_row of x, for its expert.
  Global<int32_t> experts = {};
  Global<float> of_experts = {};
  int pairs_per_row = 1;

  ON_DEVICE int64_t row(int64_t row) const { return static_cast<int>(row) / pairs_per_row; }
  ON_DEVICE float largest_of(int64_t row) const {
    return experts ? of_experts[experts[row]] : largest;
  }
};

// "int8 rows" of cpu/arithmetic.h.
template <class X>
struct Int8Rows {
  static constexpr int kThreads = 128;
  static constexpr float kRoundToInt = 12582912.0f;  // 1.5 * 2^23

  Global<X> x;
  ProductRows y;
  int64_t in, units;
  RowSource source;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const UnitOfRow<X> place(kThreads / kWarp, units);
    if (place.row >= y.num_rows) return;
    float values[kFour];
    place.read(x, source.row(place.row), in, values);
    const GroupFacts facts(values, y.group);
    const float largest = source.largest_of(place.row);
    const float most = largest > 0 ? largest : facts.most;
    const float inverse = divide(127.0f, most);
    const bool is_zero = inverse > 3.40282347e38f;
    const bool has_integers = !is_zero && facts.poison == 0;  // NaN is none; the scale keeps it
    uint32_t word = 0;
    UNROLLED for (int i = 0; i < kFour; ++i) {
      float scaled = values[i] * inverse;
      scaled = scaled < -127.0f ? -127.0f : scaled;
      scaled = scaled > 127.0f ? 127.0f : scaled;
      const uint32_t q =
          bits_as<uint32_t>(scaled + kRoundToInt) - bits_as<uint32_t>(float{kRoundToInt});
      if (has_integers) word |= (q & 0xFF) << 8 * byte_of_four(i);
    }
    (y.numbers + place.row * y.row_bytes).template as<uint32_t>().set(place.first() / kFour, word);
    const float scale = is_zero ? facts.poison : divide(most, 127.0f) + facts.poison;
    set_scale(y, place.row, place.first(), scale);
  }
};

// The activations of tensor/formats/block_fp8.h.
template <class X>
struct Fp8Rows {
  static constexpr int kThreads = 128;

  Global<X> x;
  ProductRows y;
  int64_t in, units;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const UnitOfRow<X> place(kThreads / kWarp, units);
    if (place.row >= y.num_rows) return;
    float values[kFour];
    place.read(x, place.row, in, values);
    const GroupFacts facts(values, y.group);
    constexpr float kLeast = block_fp8::kLeastActivation;
    const float largest = (facts.most > kLeast ? facts.most : kLeast) + facts.poison;
    const float by = divide(kFp8Largest, largest);
    Piece<Bf16, kFour> out;
    UNROLLED for (int i = 0; i < kFour; ++i) out.at[i] = to_bf16(rounded_to_fp8(values[i] * by));
    (y.numbers + place.row * y.row_bytes)
        .template as<Piece<Bf16, kFour>>()
        .set(place.first() / kFour, out);
    set_scale(y, place.row, place.first(), divide(largest, kFp8Largest));
  }
};

// Room in scratch memory for rows of numbers of so many bytes; group: 0 where there are no scales.
ProductRows room_for(Scratch& scratch, int64_t num_rows, int64_t units, int number_bytes,
                     int group) {
  ProductRows rows;
  rows.num_rows = num_rows;
  rows.row_bytes = units * kSliceUnit * number_bytes;
  rows.numbers = take<std::byte>(scratch, num_rows * rows.row_bytes);
  rows.group = group;
  if (group > 0) rows.scales = take<float>(scratch, units * kSliceUnit / group * num_rows);
  return rows;
}

void make_int8_rows(Stream& stream, const DeviceView& x, const ProductRows& y,
                    const RowSource& source) {
  const int64_t in = x.shape[1], units = slice_units(in);
  with_activation(x.dtype, [&]<class X>() {
    launch(stream, {pieces(y.num_rows * units, Int8Rows<X>::kThreads / kWarp)},
           Int8Rows<X>{global<X>(x), y, in, units, source});
  });
}

}  // namespace

bool has_fragment_product(const Linear& w, DType x) {
  const bool is_given = w.input == LinearInput::kAsGiven || !w.format->is_quantized();
  return w.format->bits <= 16 && !(is_given && x == DType::kF32);
}

bool has_warpgroup_product(const Linear& w, DType x) {
  const bool is_of_integers = w.input == LinearInput::kInt8 && w.format->is_quantized();
  return has_fragment_product(w, x) && !is_of_integers;
}

namespace kernels {

ProductRows product_rows(Stream& stream, Scratch& scratch, const Linear& w, const DeviceView& x) {
  const int64_t rows = x.shape[0], in = x.shape[1], units = slice_units(in);
  const Grid grid{pieces(rows * units, PadRows::kThreads / kWarp)};
  if (w.input == LinearInput::kAsGiven || !w.format->is_quantized()) {
    CHECK(x.dtype == DType::kBf16);
    if (in % kSliceUnit == 0)
      return {.numbers = global<std::byte>(x),
              .row_bytes = in * static_cast<int64_t>(sizeof(Bf16)),
              .scales = {},
              .num_rows = rows,
              .group = 0};
    const ProductRows y = room_for(scratch, rows, units, sizeof(Bf16), 0);
    launch(stream, grid, PadRows{global<Bf16>(x), y, in, units});
    return y;
  }
  if (w.input == LinearInput::kInt8) {
    const ProductRows y = room_for(scratch, rows, units, sizeof(int8_t), w.format->input_group());
    make_int8_rows(stream, x, y, {.largest = w.input_largest});
    return y;
  }
  const ProductRows y = room_for(scratch, rows, units, sizeof(Bf16), block_fp8::kSquare);
  with_activation(x.dtype,
                  [&]<class X>() { launch(stream, grid, Fp8Rows<X>{global<X>(x), y, in, units}); });
  return y;
}

ProductRows product_rows(Stream& stream, Scratch& scratch, const StackedLinear& w,
                         const DeviceView& experts, const DeviceView& x) {
  if (w.input != LinearInput::kInt8 || !w.input_largest.data)
    return product_rows(stream, scratch, w.linear(0), x);
  const int64_t pairs = experts.elements();
  const ProductRows y =
      room_for(scratch, pairs, slice_units(w.in), sizeof(int8_t), w.format->input_group());
  make_int8_rows(stream, x, y,
                 {.experts = global<int32_t>(experts),
                  .of_experts = global<float>(w.input_largest),
                  .pairs_per_row = static_cast<int>(pairs / x.shape[0])});
  return y;
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
