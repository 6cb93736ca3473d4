#include "bench/op_cases.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/check.h"
#include "base/hash.h"

namespace erne::bench {
namespace {

constexpr float kEps = 1e-5f;

int64_t at_least_one(int64_t n) {
  return std::max<int64_t>(1, n);
}

// Small numbers of both signs that repeat after a while: what they are does not matter, but zeros
// and denormals could be faster or slower than a model's.
void fill(const TensorView& view) {
  constexpr int64_t kPeriod = 4093;  // a prime, so that rows differ
  for (int64_t i = 0; i < view.elements(); ++i) {
    const auto bits = static_cast<int32_t>(mix64(static_cast<uint64_t>(i % kPeriod)) & 0xFFFF);
    const float value = static_cast<float>(bits - 0x8000) / 0x80000;  // within 1/16
    if (view.dtype == DType::kBf16) {
      view.as<Bf16>()[i] = to_bf16(value);
    } else {
      view.as<float>()[i] = value;
    }
  }
}

int64_t num_slots(const KvLayerView& kv) {
  return int64_t{kv.num_blocks} * kv.block_tokens;
}

// Allocates what one case works on.
class CaseMemory {
 public:
  CaseMemory(Backend& backend, const CaseOptions& options) : backend_(backend), options_(options) {}

  DeviceView filled(DType dtype, Shape shape) {
    TensorView numbers{nullptr, dtype, shape};
    std::vector<std::byte> bytes(numbers.bytes());
    numbers.data = bytes.data();
    fill(numbers);
    return uploaded(bytes, dtype, shape);
  }
  DeviceView activations(int64_t width) {
    return filled(options_.activations, {options_.max_rows, width});
  }
  DeviceView vector(int64_t width) { return filled(options_.activations, {width}); }
  DeviceView uploaded(std::span<const std::byte> bytes, DType dtype, Shape shape) {
    const DeviceView view{allocate(bytes.size()), dtype, shape};
    backend_.upload(bytes, view.span());
    return view;
  }

  // Copies of one weight [out, in], as many as are streamed.
  std::vector<Linear> weights(int64_t out, int64_t in) {
    TensorView numbers{nullptr, DType::kBf16, {out, in}};
    std::vector<std::byte> bytes(numbers.bytes());
    numbers.data = bytes.data();
    fill(numbers);
    const int64_t count =
        at_least_one(static_cast<int64_t>(options_.streamed_bytes) / std::ssize(bytes));
    std::vector<Linear> copies;
    for (int64_t i = 0; i < count; ++i) {
      DeviceBuffer storage;
      copies.push_back(backend_.pack(numbers, plain_format(numbers.dtype), storage));
      buffers_.push_back(std::move(storage));
    }
    return copies;
  }

  // Room for a list of `count` numbers.
  DeviceView list(int64_t count) {
    return {allocate(sizeof(int32_t) * count), DType::kI32, {count}};
  }
  StagedIndices indices(const std::vector<int32_t>& values, int64_t end) {
    return stage_indices(backend_, "values", values, end, list(std::ssize(values)));
  }

  KvLayerView kv_without_memory(int64_t num_blocks) const {
    const OpShapes& shapes = options_.shapes;
    KvLayerView view{.data = {},
                     .block_stride_bytes = 0,
                     .dtype = options_.kv,
                     .num_blocks = static_cast<int>(num_blocks),
                     .block_tokens = shapes.block_tokens,
                     .kv_heads = static_cast<int>(shapes.kv_heads),
                     .head_dim = static_cast<int>(shapes.head_dim)};
    view.block_stride_bytes = kv_layer_block_bytes(view);
    return view;
  }
  // Holds rows of small numbers in every slot.
  KvLayerView kv(int64_t num_blocks) {
    KvLayerView view = kv_without_memory(num_blocks);
    view.data = allocate(num_blocks * view.block_stride_bytes);
    const int64_t width = 2 * options_.shapes.kv_heads * options_.shapes.head_dim;
    const DeviceView rows = filled(options_.activations, {view.block_tokens, width});
    const DeviceView room = list(view.block_tokens);
    std::vector<int32_t> slots(view.block_tokens);
    for (int block = 0; block < view.num_blocks; ++block) {
      std::iota(slots.begin(), slots.end(), block * view.block_tokens);
      backend_.kv_write({rows, view, stage_slots(backend_, slots, num_slots(view), room)});
    }
    return view;
  }

  std::vector<DeviceBuffer> take() { return std::move(buffers_); }

 private:
  DevicePointer allocate(size_t bytes) {
    buffers_.push_back(backend_.allocate(bytes));
    return buffers_.back().data();
  }

  Backend& backend_;
  const CaseOptions& options_;
  std::vector<DeviceBuffer> buffers_;
};

// What every maker below is given.
struct Making {
  Backend& op;
  const CaseOptions& options;
  const OpShapes& shapes;
  CaseMemory& memory;

  int64_t qkv_width() const { return (shapes.heads + 2 * shapes.kv_heads) * shapes.head_dim; }
  int64_t query_width() const { return shapes.heads * shapes.head_dim; }
  StagedBatch batch(std::span<const RaggedRow> rows, std::span<const int32_t> blocks,
                    int64_t num_tokens, const KvLayerView& kv) const {
    DeviceView row_room = memory.list(4 * std::ssize(rows));
    row_room.shape = {std::ssize(rows), 4};
    return stage_batch(op, rows, blocks,
                       {.rows = row_room,
                        .blocks = memory.list(std::ssize(blocks)),
                        .num_tokens = num_tokens,
                        .num_blocks = kv.num_blocks,
                        .block_tokens = kv.block_tokens});
  }
};

const auto kNothingCold = [](int64_t) -> int64_t { return 0; };

OpCase linear_case(const Making& m, int64_t out, int64_t in, DType out_type) {
  const auto weights = m.memory.weights(out, in);
  const DeviceView x = m.memory.activations(in);
  const DeviceView y = m.memory.filled(out_type, {m.options.max_rows, out});
  const int64_t bytes = out * in * static_cast<int64_t>(sizeof(Bf16));
  return {.name = {},
          .run =
              [&op = m.op, weights, x, y](int64_t rows, int64_t turn) {
                const auto copy = static_cast<size_t>(turn) % weights.size();
                op.linear(weights[copy], x.first(rows), y.first(rows));
              },
          .cold_bytes = [bytes](int64_t) { return bytes; },
          .memory = {}};
}

OpCase linear_qkv(const Making& m) {
  return linear_case(m, m.qkv_width(), m.shapes.hidden, m.options.activations);
}
OpCase linear_output(const Making& m) {
  return linear_case(m, m.shapes.hidden, m.query_width(), m.options.activations);
}
OpCase linear_gate_up(const Making& m) {
  return linear_case(m, 2 * m.shapes.intermediate, m.shapes.hidden, m.options.activations);
}
OpCase linear_down(const Making& m) {
  return linear_case(m, m.shapes.hidden, m.shapes.intermediate, m.options.activations);
}
OpCase linear_head(const Making& m) {
  return linear_case(m, m.shapes.vocab, m.shapes.hidden, DType::kF32);
}

OpCase embed(const Making& m) {
  const auto tables = m.memory.weights(m.shapes.vocab, m.shapes.hidden);
  const DeviceView x = m.memory.activations(m.shapes.hidden);
  std::vector<int32_t> ids(static_cast<size_t>(m.options.max_rows) * 64);
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<int32_t>(mix64(i) % static_cast<uint64_t>(m.shapes.vocab));
  }
  const StagedIndices staged = m.memory.indices(ids, m.shapes.vocab);
  const int64_t row_bytes = m.shapes.hidden * static_cast<int64_t>(sizeof(Bf16));
  return {.name = {},
          .run =
              [&op = m.op, tables, x, staged](int64_t rows, int64_t turn) {
                const int64_t first = turn * rows % (staged.size() - rows + 1);
                const auto table = static_cast<size_t>(turn) % tables.size();
                op.embed(tables[table], staged.part(first, rows), x.first(rows));
              },
          .cold_bytes = [row_bytes](int64_t rows) { return rows * row_bytes; },
          .memory = {}};
}

OpCase rms_norm(const Making& m) {
  const DeviceView x = m.memory.activations(m.shapes.hidden),
                   y = m.memory.activations(m.shapes.hidden);
  const DeviceView weight = m.memory.vector(m.shapes.hidden);
  return {.name = {},
          .run = [&op = m.op, x, y, weight](
                     int64_t rows,
                     int64_t) { op.rms_norm(x.first(rows), weight, kEps, y.first(rows)); },
          .cold_bytes = kNothingCold,
          .memory = {}};
}

OpCase add_rms_norm(const Making& m) {
  const DeviceView x = m.memory.activations(m.shapes.hidden),
                   h = m.memory.activations(m.shapes.hidden),
                   y = m.memory.activations(m.shapes.hidden);
  const DeviceView weight = m.memory.vector(m.shapes.hidden);
  return {.name = {},
          .run =
              [&op = m.op, x, h, y, weight](int64_t rows, int64_t) {
                op.add_rms_norm(x.first(rows), h.first(rows), weight, kEps, y.first(rows));
              },
          .cold_bytes = kNothingCold,
          .memory = {}};
}

OpCase rope_kv_write(const Making& m) {
  const int64_t num_blocks = (m.options.max_rows - 1) / m.shapes.block_tokens + 1;
  const KvLayerView kv = m.memory.kv(num_blocks);
  const DeviceView qkv = m.memory.activations(m.qkv_width());
  std::vector<float> frequencies(static_cast<size_t>(m.shapes.head_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(m.shapes.head_dim);
    frequencies[i] = static_cast<float>(std::pow(500000.0, -exponent));
  }
  const DeviceView inv_freq = m.memory.uploaded(std::as_bytes(std::span(frequencies)), DType::kF32,
                                                {m.shapes.head_dim / 2});
  std::vector<int32_t> counted(static_cast<size_t>(m.options.max_rows));
  std::iota(counted.begin(), counted.end(), 0);
  const StagedIndices positions = m.memory.indices(counted, kMaxPosition);
  const StagedIndices slots = m.memory.indices(counted, num_slots(kv));
  return {.name = {},
          .run =
              [&op = m.op, kv, qkv, slots, positions, inv_freq](int64_t rows, int64_t) {
                op.rope_kv_write(
                    {qkv.first(rows), kv, {slots.part(0, rows).values, slots.end, rows}},
                    positions.part(0, rows), inv_freq);
              },
          .cold_bytes = kNothingCold,
          .memory = {}};
}

OpCase attention_decode(const Making& m) {
  const int blocks_each = (m.shapes.context - 1) / m.shapes.block_tokens + 1;
  const int64_t sequence_bytes = m.shapes.context * kv_token_bytes(m.memory.kv_without_memory(1));
  const int64_t num_sequences =
      std::max(m.options.max_rows, static_cast<int64_t>(m.options.streamed_bytes) / sequence_bytes);
  const KvLayerView kv = m.memory.kv(num_sequences * blocks_each);
  const DeviceView qkv = m.memory.activations(m.qkv_width());
  const DeviceView out = m.memory.activations(m.query_width());
  std::vector<int32_t> blocks(static_cast<size_t>(2 * num_sequences * blocks_each));
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<int32_t>(i % kv.num_blocks);
  std::vector<RaggedRow> rows;
  for (int row = 0; row < static_cast<int>(m.options.max_rows); ++row)
    rows.push_back({row, 1, m.shapes.context - 1, row * blocks_each});
  const StagedBatch all = m.batch(rows, blocks, m.options.max_rows, kv);
  const float scale = 1 / std::sqrt(static_cast<float>(m.shapes.head_dim));
  return {.name = {},
          .run =
              [&op = m.op, kv, qkv, out, all, scale, num_sequences, blocks_each,
               context = m.shapes.context](int64_t rows, int64_t turn) {
                const int64_t first = turn * rows % num_sequences;
                StagedBatch batch = all;
                batch.rows = all.rows.first(rows);
                batch.blocks = all.blocks.rows(first * blocks_each, rows * blocks_each);
                batch.num_tokens = rows;
                batch.num_positions = batch.num_pairs = rows * context;
                op.attention({qkv.first(rows), kv, &batch, out.first(rows), scale});
              },
          .cold_bytes = [sequence_bytes](int64_t rows) { return rows * sequence_bytes; },
          .memory = {}};
}

// One prompt of `rows` tokens, from its first on.
OpCase attention_prefill(const Making& m) {
  const int64_t num_blocks = (m.options.max_rows - 1) / m.shapes.block_tokens + 1;
  const KvLayerView kv = m.memory.kv(num_blocks);
  const DeviceView qkv = m.memory.activations(m.qkv_width());
  const DeviceView out = m.memory.activations(m.query_width());
  std::vector<int32_t> blocks(static_cast<size_t>(num_blocks));
  std::iota(blocks.begin(), blocks.end(), 0);
  std::vector<StagedBatch> batches;  // by rows
  for (int rows = 0; rows <= static_cast<int>(m.options.max_rows); ++rows) {
    const RaggedRow prompt{0, rows, 0, 0};
    batches.push_back(rows == 0 ? StagedBatch() : m.batch({&prompt, 1}, blocks, rows, kv));
  }
  const float scale = 1 / std::sqrt(static_cast<float>(m.shapes.head_dim));
  return {.name = {},
          .run =
              [&op = m.op, kv, qkv, out, batches, scale](int64_t rows, int64_t) {
                op.attention({qkv.first(rows), kv, &batches[rows], out.first(rows), scale});
              },
          .cold_bytes = kNothingCold,
          .memory = {}};
}

OpCase silu_mul(const Making& m) {
  const DeviceView gate_up = m.memory.activations(2 * m.shapes.intermediate);
  const DeviceView y = m.memory.activations(m.shapes.intermediate);
  return {.name = {},
          .run = [&op = m.op, gate_up, y](
                     int64_t rows, int64_t) { op.silu_mul(gate_up.first(rows), y.first(rows)); },
          .cold_bytes = kNothingCold,
          .memory = {}};
}

OpCase add(const Making& m) {
  const DeviceView x = m.memory.activations(m.shapes.hidden),
                   h = m.memory.activations(m.shapes.hidden);
  return {
      .name = {},
      .run = [&op = m.op, x, h](int64_t rows, int64_t) { op.add(x.first(rows), h.first(rows)); },
      .cold_bytes = kNothingCold,
      .memory = {}};
}

OpCase gather(const Making& m) {
  const DeviceView x = m.memory.activations(m.shapes.hidden),
                   y = m.memory.activations(m.shapes.hidden);
  std::vector<int32_t> from(static_cast<size_t>(m.options.max_rows));
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<int32_t>(from.size() - 1 - i);
  const StagedIndices staged = m.memory.indices(from, m.options.max_rows);
  return {.name = {},
          .run = [&op = m.op, x, y, staged](
                     int64_t rows, int64_t) { op.gather(x, staged.part(0, rows), y.first(rows)); },
          .cold_bytes = kNothingCold,
          .memory = {}};
}

// Logits near a normal distribution but for a few that have most of the weight, as a model's are;
// with temperature and top_p 0.8.
OpCase sample(const Making& m) {
  const int64_t rows = m.options.max_rows, vocab = m.shapes.vocab;
  std::vector<float> logits(static_cast<size_t>(rows * vocab));
  for (size_t i = 0; i < logits.size(); ++i) {
    const uint64_t bits = mix64(i);
    const uint64_t sum =
        (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
    logits[i] = static_cast<float>(sum) / 0x4000 + (i % 5003 == 0 ? 8.0f : 0.0f);
  }
  std::vector<TokenDraw> draws;
  for (int64_t row = 0; row < rows; ++row)
    draws.push_back({.units_per_logit = kUnitsPerBit * 1.442695f / 0.8f,
                     .end_distance = kFarthest,
                     .top_k = kMaxDrawTokens,
                     .top_p = TokenDraw::kWholePart / 5 * 4,
                     .random = mix64(static_cast<uint64_t>(row))});
  const DeviceView view =
      m.memory.uploaded(std::as_bytes(std::span(logits)), DType::kF32, {rows, vocab});
  const DeviceView tokens = m.memory.list(rows);
  const DeviceView staged =
      m.memory.uploaded(std::as_bytes(std::span(draws)), DType::kI32,
                        {rows, static_cast<int64_t>(sizeof(TokenDraw) / sizeof(int32_t))});
  return {.name = {},
          .run =
              [=, &op = m.op](int64_t count, int64_t) {
                op.sample({.logits = view.first(count),
                           .num_tokens = vocab,
                           .draws = {staged.first(count)},
                           .tokens = tokens.first(count)});
              },
          .cold_bytes = kNothingCold,
          .memory = {}};
}

// A KV block of as many layers as there are rows, to the host or back.
OpCase copy_block(const Making& m, bool in) {
  const int64_t row_bytes = kv_layer_block_bytes(m.memory.kv_without_memory(1));
  const int64_t count =
      std::max(m.options.max_rows, static_cast<int64_t>(m.options.streamed_bytes) / row_bytes);
  const KvLayerView kv = m.memory.kv(count);
  const auto host = std::make_shared<HostBuffer>(m.op.allocate_host(count * row_bytes));
  return {.name = {},
          .run =
              [=, &op = m.op](int64_t rows, int64_t turn) {
                const int64_t at = turn % (count / rows) * rows * row_bytes;
                const auto bytes = static_cast<size_t>(rows * row_bytes);
                const DeviceSpan device{kv.data + at, bytes};
                const std::span block(static_cast<std::byte*>(host->data()) + at, bytes);
                if (in)
                  op.copy_in(block, device);
                else
                  op.copy_out(device, block);
              },
          .cold_bytes = [row_bytes](int64_t rows) { return 2 * rows * row_bytes; },
          .memory = {}};
}

OpCase copy_out(const Making& m) {
  return copy_block(m, false);
}

OpCase copy_in(const Making& m) {
  return copy_block(m, true);
}

struct OpMaker {
  const char* name;
  OpCase (*make)(const Making&);
};
constexpr OpMaker kOps[] = {
    {"embed", embed},
    {"rms_norm", rms_norm},
    {"linear_qkv", linear_qkv},
    {"rope_kv_write", rope_kv_write},
    {"attention_decode", attention_decode},
    {"attention_prefill", attention_prefill},
    {"linear_output", linear_output},
    {"add_rms_norm", add_rms_norm},
    {"linear_gate_up", linear_gate_up},
    {"silu_mul", silu_mul},
    {"linear_down", linear_down},
    {"add", add},
    {"gather", gather},
    {"linear_head", linear_head},
    {"sample", sample},
    {"copy_out", copy_out},
    {"copy_in", copy_in},
};

}  // namespace

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const OpMaker& op : kOps) names.emplace_back(op.name);
  return names;
}

bool has_op(std::string_view name, const Backend& backend) {
  return name != "sample" || backend.samples();
}

OpCase make_op_case(std::string_view name, Backend& backend, const CaseOptions& options) {
  const auto* maker =
      std::ranges::find_if(kOps, [&](const OpMaker& op) { return op.name == name; });
  CHECK(maker != std::end(kOps));
  CaseMemory memory(backend, options);
  OpCase made = maker->make({backend, options, options.shapes, memory});
  made.name = name;
  made.memory = memory.take();
  return made;
}

}  // namespace erne::bench
