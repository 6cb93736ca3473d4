#include "parity/op_runs.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/encoded_rows.h"
#include "tensor/formats/block_fp8.h"

namespace erne::parity {
namespace {

int64_t total_tokens(const AttentionCase& c) {
  int64_t tokens = 0;
  for (const SequenceRow& row : c.sequences) tokens += row.num_tokens;
  return tokens;
}

int blocks_for(const AttentionCase& c, const SequenceRow& row) {
  return (row.context + row.num_tokens + c.block_tokens - 1) / c.block_tokens;
}

void copy_rows(const GuardedTensor& from, int64_t first, int64_t count, const GuardedTensor& to,
               int64_t at) {
  const size_t row_bytes = from.view().bytes() / from.view().shape[0];
  std::memcpy(to.view().as<std::byte>() + at * row_bytes,
              from.view().as<std::byte>() + first * row_bytes, count * row_bytes);
}

// Of every 512 keys the second half repeats the first, and its values are the first's with the
// other sign.
void make_cancelling(const AttentionRun& run, GuardedTensor& sequence) {
  constexpr int kHalf = 256;
  for (int64_t position = kHalf; position < sequence.view().shape[0]; ++position) {
    if (position / kHalf % 2 == 0) continue;
    const int64_t key = position * run.qkv_width + run.q_width, value = key + run.kv_width;
    const int64_t before = kHalf * run.qkv_width;
    for (int64_t i = 0; i < run.kv_width; ++i) {
      sequence.set(key + i, sequence.at(key + i - before));
      sequence.set(value + i, -sequence.at(value + i - before));
    }
  }
}

const WeightFormat& format_of(const LinearCase& c) {
  const WeightFormat* format = find_weight_format(c.format);
  CHECK(format != nullptr);
  return *format;
}

// The first keys and values of a sequence are zeros; of the others, some have one value that dwarfs
// the rest.
void make_extreme(const AttentionRun& run, GuardedTensor& sequence) {
  constexpr int kZeroRows = 3, kHugeEvery = 7;
  constexpr double kHuge = 1000;
  for (int64_t position = 0; position < sequence.view().shape[0]; ++position) {
    const int64_t first = position * run.qkv_width + run.q_width;
    if (position < kZeroRows)
      for (int64_t i = 0; i < 2 * run.kv_width; ++i) sequence.set(first + i, 0);
    else if (position % kHugeEvery == 0)
      for (int64_t i = position % run.c.head_dim; i < 2 * run.kv_width; i += run.c.head_dim)
        sequence.set(first + i, i % 2 ? kHuge : -kHuge);
  }
}

// What is kept of weights [out, in] by the rules of their encoding. A back end must put the bytes
// in order and multiply them; that the rules mean what they should is for the tests of tensor/.
reference::Matrix decoded(const GuardedTensor& w, const WeightFormat& format) {
  reference::Matrix decoded = w.matrix();
  EncodedRows rows(format, decoded.rows, decoded.cols);
  format.rules().encode({w.view().as<const float>(), decoded.values.size()}, rows, 0);
  std::vector<float> row(decoded.cols);
  for (int64_t n = 0; n < decoded.rows; ++n) {
    format.rules().decode(rows, n, row);
    for (int64_t k = 0; k < decoded.cols; ++k) decoded(n, k) = row[k];
  }
  return decoded;
}

// In double, but for what float32 rounds.
reference::Matrix decoded_fp8(const GuardedTensor& w, bool in_float32) {
  reference::Matrix m = w.matrix();
  for (int64_t n0 = 0; n0 < m.rows; n0 += block_fp8::kSquare)
    for (int64_t k0 = 0; k0 < m.cols; k0 += block_fp8::kSquare) {
      const int64_t n1 = std::min(n0 + block_fp8::kSquare, m.rows);
      const int64_t k1 = std::min(k0 + block_fp8::kSquare, m.cols);
      float largest = 0;
      for (int64_t n = n0; n < n1; ++n)
        for (int64_t k = k0; k < k1; ++k)
          largest = std::max(largest, static_cast<float>(std::abs(m(n, k))));
      const float factor = largest == 0 ? 1 : 448 / largest;
      for (int64_t n = n0; n < n1; ++n)
        for (int64_t k = k0; k < k1; ++k) {
          const float scaled = static_cast<float>(m(n, k)) * factor;
          m(n, k) = reference::nearest_fp8(scaled) * double{1 / factor};
          if (in_float32) m(n, k) = static_cast<float>(m(n, k));
        }
    }
  return m;
}

}  // namespace

LinearRun::LinearRun(Backend& backend, const LinearCase& c)
    : x(random_tensor(c.activation, {c.rows, c.in}, 1)),
      w(random_tensor(format_of(c).is_quantized() ? DType::kF32 : format_of(c).stored,
                      {c.out, c.in}, 2, 1 / std::sqrt(static_cast<double>(c.in)))),
      y(c.output, {c.rows, c.out}),
      packed(backend.pack(w.view(), format_of(c), storage)) {
  packed.input = c.input;
  packed.unit_order = c.unit_order;
  packed.input_largest = c.input_largest;
}

reference::Matrix LinearRun::weights() const {
  const WeightFormat& format = *packed.format;
  if (!format.is_quantized()) return w.matrix();
  if (format.encoding == Encoding::kBlockFp8)
    return decoded_fp8(w, packed.input == LinearInput::kAsGiven);
  return decoded(w, format);
}

reference::Matrix LinearRun::inputs() const {
  switch (packed.input) {
    case LinearInput::kAsGiven:
      return x.matrix();
    case LinearInput::kInt8:
      return packed.input_largest > 0
                 ? reference::fixed_int8(x.matrix(), packed.input_largest)
                 : reference::int8_rows(x.matrix(), packed.format->input_group());
    case LinearInput::kFp8:
      return reference::fp8_rows(x.matrix(), block_fp8::kSquare, block_fp8::kLeastActivation);
  }
  check_failed(__FILE__, __LINE__, "an input", packed.format->name);
}

AttentionRun::AttentionRun(Backend& backend, const AttentionCase& c)
    : c(c),
      scale(1 / std::sqrt(static_cast<double>(c.head_dim))),
      q_width(int64_t{c.heads} * c.head_dim),
      kv_width(int64_t{c.kv_heads} * c.head_dim),
      qkv_width(q_width + 2 * kv_width),
      lists(backend),
      qkv(c.activation, {total_tokens(c), qkv_width}),
      out(c.activation, {total_tokens(c), q_width}) {
  int num_blocks = 0, first_token = 0;
  for (const SequenceRow& row : c.sequences) {
    rows.push_back({first_token, row.num_tokens, row.context, num_blocks});
    first_token += row.num_tokens;
    num_blocks += blocks_for(c, row);
  }
  // Blocks 1, 3, 5... of an uneven pool, taken from behind.
  kv = {.dtype = c.kv,
        .num_blocks = 2 * num_blocks + 1,
        .block_tokens = c.block_tokens,
        .kv_heads = c.kv_heads,
        .head_dim = c.head_dim};
  kv.block_stride_bytes = kv_layer_block_bytes(kv) + 64;
  for (int b = num_blocks; b > 0; --b) blocks.push_back(2 * b - 1);
  memory = backend.allocate(kv.num_blocks * kv.block_stride_bytes);
  const std::vector<std::byte> nothing(memory.bytes(), std::byte{0xFF});  // NaN
  backend.upload(nothing, memory.span());
  kv.data = memory.data();
  if (c.fixed) {
    // Some components are cut off, some use a part of the range only.
    for (int64_t i = 0; i < 2 * kv_width; ++i)
      largest.push_back(0.75f + static_cast<float>(i % 5) / 4);
    const DeviceView sizes = lists.floats(largest);
    kv.key_largest = sizes.data;
    kv.value_largest = sizes.rows(kv_width, kv_width).data;
  }
  for (int s = 0; s < std::ssize(c.sequences); ++s) {
    const auto& [context, num_tokens] = c.sequences[s];
    sequences.push_back(random_tensor(c.activation, {context + num_tokens, qkv_width}, 10 + s));
    if (c.extreme) make_extreme(*this, sequences[s]);
    if (c.cancels) make_cancelling(*this, sequences[s]);
    copy_rows(sequences[s], context, num_tokens, qkv, rows[s].first_token);
    write_kv(backend, s);
  }
}

void AttentionRun::write_kv(Backend& backend, int s) {
  const int positions = c.sequences[s].context + c.sequences[s].num_tokens;
  const int portion = c.timed_only ? 4096 : 37;
  for (int first = 0; first < positions; first += portion) {
    const int count = std::min(portion, positions - first);
    const GuardedTensor part(c.activation, {count, qkv_width});
    copy_rows(sequences[s], first, count, part, 0);
    std::vector<int32_t> slots(count);
    for (int i = 0; i < count; ++i) {
      const int32_t block = blocks[rows[s].first_block + (first + i) / c.block_tokens];
      slots[i] = block * c.block_tokens + (first + i) % c.block_tokens;
    }
    StagedLists staged(backend);
    backend.kv_write({part.on(backend), kv, staged.slots(slots, kv)});
  }
}

StagedBatch AttentionRun::staged(StagedLists& in) const {
  return in.batch(rows, blocks, total_tokens(c), kv);
}

void AttentionRun::run(Backend& backend) {
  StagedLists own(backend);
  const StagedBatch batch = staged(own);
  backend.attention({qkv.on(backend), kv, &batch, out.on(backend), static_cast<float>(scale)});
}

GuardedTensor AttentionRun::run_part(Backend& backend, int s, int begin, int end) {
  const GuardedTensor queries(c.activation, {end - begin, qkv_width});
  copy_rows(qkv, rows[s].first_token + begin, end - begin, queries, 0);
  GuardedTensor part(c.activation, {end - begin, q_width});
  const RaggedRow row{0, end - begin, rows[s].first_position + begin, rows[s].first_block};
  StagedLists staged(backend);
  const StagedBatch batch = staged.batch({&row, 1}, blocks, end - begin, kv);
  backend.attention({queries.on(backend), kv, &batch, part.on(backend), static_cast<float>(scale)});
  return part;
}

}  // namespace erne::parity
