#include "backend/backend.h"

#include <algorithm>
#include <bit>

#include "backend/shape_check.h"

namespace erne {
namespace {

int64_t bytes_of(std::initializer_list<DeviceView> views) {
  int64_t bytes = 0;
  for (const DeviceView& view : views) bytes += static_cast<int64_t>(view.bytes());
  return bytes;
}

int64_t weight_bytes(const Linear& w) {
  return w.format->bytes(w.out, w.in);
}

void check_linear(const ShapeCheck& check, const Linear& w) {
  CHECK(w.format != nullptr);
  Dim out{"out", w.out}, in{"in", w.in};
  check.shape("weight", w.data, {&out, &in});
}

void check_experts(const ShapeCheck& check, const StackedLinear& experts, Dim out, Dim in) {
  CHECK(experts.format != nullptr);
  CHECK_GT(experts.count, 0);
  check.shape("an expert", experts.linear(0).data, {&out, &in});
  CHECK_GE(experts.stride_bytes, experts.format->bytes(experts.out, experts.in));
  if (!experts.input_largest.data) return;
  Dim count{"E", experts.count};
  check.shape("input_largest", experts.input_largest, {&count});
  check.dtype("input_largest", experts.input_largest, DType::kF32);
}

void check_kv(const ShapeCheck& check, const KvLayerView& kv) {
  CHECK(static_cast<bool>(kv.data));
  check.index("kv.num_blocks", kv.num_blocks, 1, INT32_MAX);
  check.index("kv.block_tokens", kv.block_tokens, 1, INT32_MAX);
  CHECK(kv.dtype == DType::kF32 || kv.dtype == DType::kBf16 || kv.dtype == DType::kI8 ||
        kv.dtype == DType::kFp8);
  CHECK_GE(kv.block_stride_bytes, kv_layer_block_bytes(kv));
  CHECK_EQ(static_cast<bool>(kv.key_largest), static_cast<bool>(kv.value_largest));
  CHECK(!kv.key_largest || dtype_bytes(kv.dtype) == 1);
}

// Checks that a run of rows begins and ends where the interface allows it.
void check_run(const Linear& w, int64_t first_row, int64_t num_rows) {
  const int64_t end = first_row + num_rows;
  CHECK_EQ(first_row % kPackRows, 0);
  CHECK(end == w.out || (end < w.out && end % kPackRows == 0));
}

}  // namespace

Linear StackedLinear::linear(int64_t index) const {
  Linear w = Linear::at(data + index * stride_bytes, *format, out, in);
  w.input = input;
  w.unit_order = unit_order;
  return w;
}

void Backend::upload(std::span<const std::byte> from, DeviceSpan to) {
  CHECK_EQ(from.size(), to.bytes);
  if (!from.empty()) do_upload(from, to);
}

void Backend::download(DeviceSpan from, std::span<std::byte> to) {
  CHECK_EQ(from.bytes, to.size());
  if (!to.empty()) do_download(from, to);
}

void Backend::copy_out(DeviceSpan from, std::span<std::byte> to) {
  CHECK_EQ(from.bytes, to.size());
  counters_.bytes += 2 * static_cast<int64_t>(from.bytes);
  if (!to.empty()) do_copy_out(from, to);
}

void Backend::copy_in(std::span<const std::byte> from, DeviceSpan to) {
  CHECK_EQ(from.size(), to.bytes);
  counters_.bytes += 2 * static_cast<int64_t>(to.bytes);
  if (!from.empty()) do_copy_in(from, to);
}

void Backend::run(const RunKey&, const std::function<void()>& body) {
  body();
}

void Backend::parallel_for(int64_t count, const std::function<void(int64_t)>& body) {
  for (int64_t i = 0; i < count; ++i) body(i);
}

DeviceSpan Backend::map_host(std::span<const std::byte> bytes) {
  CHECK(reads_host_memory());
  return {DeviceAccess::address(const_cast<std::byte*>(bytes.data())), bytes.size()};
}

std::span<std::byte> Backend::map_device(DeviceSpan bytes) {
  CHECK(reads_host_memory());
  finish();
  return {DeviceAccess::pointer(bytes.data), bytes.bytes};
}

void Backend::pack_rows(const Linear& w, const TensorView& rows, int64_t first_row) {
  CHECK_EQ(rows.shape.rank(), 2);
  CHECK_EQ(rows.shape[1], w.in);
  CHECK(rows.dtype == DType::kBf16 || rows.dtype == DType::kF32);
  check_run(w, first_row, rows.shape[0]);
  do_pack_rows(w, rows, first_row);
}

void Backend::pack_rows(const Linear& w, const EncodedRows& rows, int64_t first_row) {
  CHECK_EQ(rows.in, w.in);
  CHECK(rows.format->has_codes_of(*w.format));
  check_run(w, first_row, rows.count);
  do_pack_encoded(w, rows, first_row);
}

Linear Backend::pack(const TensorView& weight, const WeightFormat& format, DeviceBuffer& storage) {
  const int64_t out = weight.shape[0], in = weight.shape[1];
  storage = allocate(packed_bytes(format, out, in));
  const Linear w = Linear::at(storage.data(), format, out, in);
  pack_rows(w, weight, 0);
  return w;
}

void Backend::embed(const Linear& table, const StagedIndices& ids, const DeviceView& x) {
  const ShapeCheck check("embed");
  Dim tokens{"T"}, hidden{"H", table.in};
  check_linear(check, table);
  check.shape("x", x, {&tokens, &hidden});
  check.activation("x", x);
  check.length("ids", ids.size(), &tokens);
  check.index("the end of the ids", ids.end, 0, table.out + 1);
  counters_.bytes += table.format->bytes(tokens.size, hidden.size) + bytes_of({x});
  if (tokens.size > 0) do_embed(table, ids, x);
}

void Backend::rms_norm(const DeviceView& x, const DeviceView& weight, float eps,
                       const DeviceView& y) {
  const ShapeCheck check("rms_norm");
  Dim tokens{"T"}, hidden{"H"};
  check.activation("x", x);
  check.shape("x", x, {&tokens, &hidden});
  check.shape("weight", weight, {&hidden});
  check.dtype("weight", weight, x.dtype);
  check.shape("y", y, {&tokens, &hidden});
  check.dtype("y", y, x.dtype);
  counters_.bytes += bytes_of({x, weight, y});
  counters_.flops += 4 * x.elements();
  if (tokens.size > 0) do_rms_norm(x, weight, eps, y);
}

void Backend::add_rms_norm(const DeviceView& x, const DeviceView& h, const DeviceView& weight,
                           float eps, const DeviceView& y) {
  const ShapeCheck check("add_rms_norm");
  Dim tokens{"T"}, hidden{"H"};
  check.activation("x", x);
  check.shape("x", x, {&tokens, &hidden});
  check.shape("h", h, {&tokens, &hidden});
  check.dtype("h", h, x.dtype);
  check.shape("weight", weight, {&hidden});
  check.dtype("weight", weight, x.dtype);
  check.shape("y", y, {&tokens, &hidden});
  check.dtype("y", y, x.dtype);
  counters_.bytes += bytes_of({x, x, h, weight, y});
  counters_.flops += 5 * x.elements();
  if (tokens.size > 0) do_add_rms_norm(x, h, weight, eps, y);
}

void Backend::linear(const Linear& w, const DeviceView& x, const DeviceView& y) {
  const ShapeCheck check("linear");
  Dim tokens{"T"}, in{"in", w.in}, out{"out", w.out};
  check_linear(check, w);
  check.activation("x", x);
  check.shape("x", x, {&tokens, &in});
  check.shape("y", y, {&tokens, &out});
  if (y.dtype != DType::kF32) check.dtype("y", y, x.dtype);
  counters_.bytes += weight_bytes(w) + bytes_of({x, y});
  counters_.flops += 2 * tokens.size * w.in * w.out;
  if (tokens.size > 0) do_linear(w, x, y);
}

void Backend::enter_rope(const DeviceView& qkv, const StagedIndices& positions,
                         const DeviceView& inv_freq, int heads, int kv_heads) {
  const ShapeCheck check("rope");
  Dim tokens{"T"}, half{"D/2"};
  check.shape("inv_freq", inv_freq, {&half});
  check.dtype("inv_freq", inv_freq, DType::kF32);
  Dim width{"Q + 2K", 2 * half.size * (heads + 2 * kv_heads)};
  check.activation("qkv", qkv);
  check.shape("qkv", qkv, {&tokens, &width});
  check.length("positions", positions.size(), &tokens);
  check.index("the end of the positions", positions.end, 0, kMaxPosition + 1);
  const int64_t rotated = tokens.size * 2 * half.size * (heads + kv_heads);
  counters_.bytes += 2 * rotated * static_cast<int64_t>(dtype_bytes(qkv.dtype));
  counters_.flops += 3 * rotated;
}

void Backend::rope(const DeviceView& qkv, const StagedIndices& positions,
                   const DeviceView& inv_freq, int heads, int kv_heads) {
  enter_rope(qkv, positions, inv_freq, heads, kv_heads);
  if (qkv.shape[0] > 0) do_rope(qkv, positions, inv_freq, heads, kv_heads);
}

void Backend::enter_kv_write(const KvWriteArgs& args) {
  const ShapeCheck check("kv_write");
  const KvLayerView& kv = args.kv;
  check_kv(check, kv);
  const int64_t kv_width = int64_t{kv.kv_heads} * kv.head_dim;
  Dim tokens{"T"}, width{"Q + 2K"};
  check.activation("qkv", args.qkv);
  check.shape("qkv", args.qkv, {&tokens, &width});
  check.index("the width of qkv", width.size, 2 * kv_width, INT64_MAX);
  check.length("slots", args.slots.size(), &tokens);
  const int64_t num_slots = int64_t{kv.num_blocks} * kv.block_tokens;
  check.index("the end of the slots", args.slots.end, 0, num_slots + 1);
  const int64_t stored = args.slots.num_stored;
  counters_.bytes += stored * (2 * kv_width * static_cast<int64_t>(dtype_bytes(args.qkv.dtype)) +
                               kv_token_bytes(kv));
}

// Also where nothing is stored: what is recorded in one step is repeated in others.
void Backend::kv_write(const KvWriteArgs& args) {
  enter_kv_write(args);
  if (args.qkv.shape[0] > 0) do_kv_write(args);
}

void Backend::rope_kv_write(const KvWriteArgs& args, const StagedIndices& positions,
                            const DeviceView& inv_freq) {
  enter_kv_write(args);
  const KvLayerView& kv = args.kv;
  const auto heads = static_cast<int>(args.qkv.shape[1] / kv.head_dim) - 2 * kv.kv_heads;
  enter_rope(args.qkv, positions, inv_freq, heads, kv.kv_heads);
  if (args.qkv.shape[0] > 0) do_rope_kv_write(args, positions, inv_freq, heads);
}

void Backend::do_rope_kv_write(const KvWriteArgs& args, const StagedIndices& positions,
                               const DeviceView& inv_freq, int heads) {
  do_rope(args.qkv, positions, inv_freq, heads, args.kv.kv_heads);
  do_kv_write(args);
}

void Backend::attention(const AttentionArgs& args) {
  const ShapeCheck check("attention");
  const KvLayerView& kv = args.kv;
  check_kv(check, kv);
  CHECK(args.batch != nullptr);
  const int64_t kv_width = int64_t{kv.kv_heads} * kv.head_dim;
  Dim tokens{"T"}, q_width{"Q"};
  check.activation("out", args.out);
  check.shape("out", args.out, {&tokens, &q_width});
  check.index("Q mod K", q_width.size % kv_width, 0, 1);
  Dim width{"Q + 2K", q_width.size + 2 * kv_width};
  check.shape("qkv", args.qkv, {&tokens, &width});
  check.dtype("qkv", args.qkv, args.out.dtype);
  const StagedBatch& batch = *args.batch;
  check.length("the batch", batch.num_tokens, &tokens);
  check.index("the batch's blocks", batch.num_blocks, 0, int64_t{kv.num_blocks} + 1);
  CHECK_EQ(batch.block_tokens, kv.block_tokens);
  counters_.bytes += batch.num_positions * kv_token_bytes(kv) + 2 * bytes_of({args.out});
  counters_.flops += 4 * batch.num_pairs * q_width.size;
  if (tokens.size > 0) do_attention(args);
}

void Backend::silu_mul(const DeviceView& gate_up, const DeviceView& y) {
  const ShapeCheck check("silu_mul");
  Dim tokens{"T"}, width{"I"};
  check.activation("y", y);
  check.shape("y", y, {&tokens, &width});
  Dim both{"2I", 2 * width.size};
  check.shape("gate_up", gate_up, {&tokens, &both});
  check.dtype("gate_up", gate_up, y.dtype);
  counters_.bytes += bytes_of({gate_up, y});
  counters_.flops += 4 * y.elements();
  if (tokens.size > 0) do_silu_mul(gate_up, y);
}

void Backend::add(const DeviceView& x, const DeviceView& h) {
  const ShapeCheck check("add");
  Dim tokens{"T"}, hidden{"H"};
  check.activation("x", x);
  check.shape("x", x, {&tokens, &hidden});
  check.shape("h", h, {&tokens, &hidden});
  check.dtype("h", h, x.dtype);
  counters_.bytes += bytes_of({x, x, h});
  counters_.flops += x.elements();
  if (tokens.size > 0) do_add(x, h);
}

void Backend::route(const RouteArgs& args) {
  const ShapeCheck check("route");
  Dim tokens{"T"}, num_experts{"E"}, chosen{"k"};
  check.shape("logits", args.logits, {&tokens, &num_experts});
  check.dtype("logits", args.logits, DType::kF32);
  if (args.correction_bias.data) {
    check.shape("correction_bias", args.correction_bias, {&num_experts});
    check.dtype("correction_bias", args.correction_bias, DType::kF32);
  }
  check.shape("experts", args.experts, {&tokens, &chosen});
  check.dtype("experts", args.experts, DType::kI32);
  check.shape("weights", args.weights, {&tokens, &chosen});
  check.dtype("weights", args.weights, DType::kF32);
  check.index("k", chosen.size, 1, num_experts.size + 1);
  counters_.bytes += bytes_of({args.logits, args.experts, args.weights});
  counters_.flops += 4 * args.logits.elements();
  if (tokens.size > 0) do_route(args);
}

void Backend::experts(const ExpertsArgs& args) {
  const ShapeCheck check("experts");
  Dim tokens{"T"}, hidden{"H"}, chosen{"k"};
  check.activation("x", args.x);
  check.shape("x", args.x, {&tokens, &hidden});
  check.shape("experts", args.experts, {&tokens, &chosen});
  check.dtype("experts", args.experts, DType::kI32);
  check.shape("weights", args.weights, {&tokens, &chosen});
  check.dtype("weights", args.weights, DType::kF32);
  check.shape("y", args.y, {&tokens, &hidden});
  check.dtype("y", args.y, args.x.dtype);
  Dim width{"I", args.down.in}, both{"2I", 2 * width.size};
  check_experts(check, args.gate_up, both, hidden);
  check_experts(check, args.down, hidden, width);
  CHECK_EQ(args.gate_up.count, args.down.count);
  if (args.rotation != 0) {
    CHECK(std::has_single_bit(static_cast<unsigned>(args.rotation)));
    CHECK_LE(args.rotation, kMaxRotation);
    CHECK_EQ(width.size % args.rotation, 0);
  }
  counters_.bytes += bytes_of({args.x, args.y, args.experts, args.weights});
  counters_.flops += tokens.size * chosen.size * (6 * hidden.size * width.size + 4 * width.size);
  if (tokens.size > 0) do_experts(args);
}

void Backend::count_expert_weights(const ExpertsArgs& args, int64_t num_used) {
  counters_.bytes +=
      num_used * (weight_bytes(args.gate_up.linear(0)) + weight_bytes(args.down.linear(0)));
}

void Backend::gather(const DeviceView& x, const StagedIndices& rows, const DeviceView& y) {
  const ShapeCheck check("gather");
  Dim tokens{"T"}, hidden{"H"}, chosen{"R"};
  check.activation("x", x);
  check.shape("x", x, {&tokens, &hidden});
  check.shape("y", y, {&chosen, &hidden});
  check.dtype("y", y, x.dtype);
  check.length("rows", rows.size(), &chosen);
  check.index("the end of the rows", rows.end, 0, tokens.size + 1);
  counters_.bytes += bytes_of({y, y});
  if (chosen.size > 0) do_gather(x, rows, y);
}

void Backend::sample(const SampleArgs& args) {
  const ShapeCheck check("sample");
  Dim rows{"R"}, vocabulary{"V"};
  check.shape("logits", args.logits, {&rows, &vocabulary});
  check.dtype("logits", args.logits, DType::kF32);
  check.index("num_tokens", args.num_tokens, 1, std::min(vocabulary.size, kMaxDrawTokens) + 1);
  check.length("draws", args.draws.size(), &rows);
  check.shape("tokens", args.tokens, {&rows});
  check.dtype("tokens", args.tokens, DType::kI32);
  counters_.bytes += bytes_of({args.logits, args.tokens});
  if (rows.size > 0) do_sample(args);
}

}  // namespace erne
