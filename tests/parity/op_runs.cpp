#include "parity/op_runs.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/formats/symmetric_int.h"

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

}  // namespace

LinearRun::LinearRun(Backend& backend, const LinearCase& c)
    : x(random_tensor(c.activation, {c.rows, c.in}, 1)),
      w(random_tensor(format_of(c).is_quantized() ? DType::kF32 : format_of(c).stored,
                      {c.out, c.in}, 2, 1 / std::sqrt(static_cast<double>(c.in)))),
      y(c.output, {c.rows, c.out}),
      packed(backend.pack(w.view(), format_of(c), storage)) {
  packed.input = c.input;
}

reference::Matrix LinearRun::weights() const {
  const WeightFormat& format = *packed.format;
  reference::Matrix decoded = w.matrix();
  if (!format.is_quantized()) return decoded;
  const auto* row = w.view().as<const float>();
  std::vector<uint8_t> codes(packed.in);
  for (int64_t n = 0; n < packed.out; ++n, row += packed.in)
    for (int64_t k = 0; k < packed.in; k += format.run_length(packed.in)) {
      const int64_t count = std::min(format.run_length(packed.in), packed.in - k);
      const std::span run(row + k, static_cast<size_t>(count));
      const Bf16 scale = symmetric_int::encode(run, format, codes.data());
      for (int64_t i = 0; i < count; ++i)
        decoded(n, k + i) = symmetric_int::decode(codes[i], format, scale);
    }
  return decoded;
}

reference::Matrix LinearRun::inputs() const {
  if (packed.input == LinearInput::kAsGiven) return x.matrix();
  return reference::int8_rows(x.matrix(), packed.format->input_group());
}

AttentionRun::AttentionRun(Backend& backend, const AttentionCase& c)
    : c(c),
      scale(1 / std::sqrt(static_cast<double>(c.head_dim))),
      q_width(int64_t{c.heads} * c.head_dim),
      kv_width(int64_t{c.kv_heads} * c.head_dim),
      qkv_width(q_width + 2 * kv_width),
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
  memory = backend.allocate(kv.num_blocks * kv.block_stride_bytes, Space::kDevice);
  std::memset(memory.data(), 0xFF, memory.bytes());  // NaN wherever nothing is written
  kv.data = memory.data();
  for (int s = 0; s < std::ssize(c.sequences); ++s) {
    const auto& [context, num_tokens] = c.sequences[s];
    sequences.push_back(random_tensor(c.activation, {context + num_tokens, qkv_width}, 10 + s));
    if (c.extreme) make_extreme(*this, sequences[s]);
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
    backend.kv_write({part.view(), kv, slots});
  }
}

void AttentionRun::run(Backend& backend) {
  const RaggedBatch batch{rows, blocks};
  backend.attention({qkv.view(), kv, &batch, out.view(), static_cast<float>(scale)});
}

GuardedTensor AttentionRun::run_part(Backend& backend, int s, int begin, int end) {
  const GuardedTensor queries(c.activation, {end - begin, qkv_width});
  copy_rows(qkv, rows[s].first_token + begin, end - begin, queries, 0);
  GuardedTensor part(c.activation, {end - begin, q_width});
  const RaggedRow row{0, end - begin, rows[s].first_position + begin, rows[s].first_block};
  const RaggedBatch batch{{&row, 1}, blocks};
  backend.attention({queries.view(), kv, &batch, part.view(), static_cast<float>(scale)});
  return part;
}

}  // namespace erne::parity
