#include "backend/staged_step.h"

#include "backend/backend.h"
#include "backend/shape_check.h"

namespace erne {
namespace {

constexpr int64_t kRowInts = sizeof(RaggedRow) / sizeof(int32_t);
constexpr int64_t kDrawInts = sizeof(TokenDraw) / sizeof(int32_t);
constexpr int64_t kAlignedInts = 16;  // each list begins on a cache line

int64_t padded(int64_t ints) {
  return (ints + kAlignedInts - 1) / kAlignedInts * kAlignedInts;
}

// All lists of a step, before the rows of logits and the draws.
int64_t step_ints(const StagingLimits& limits) {
  return 3 * padded(limits.max_tokens) + padded(limits.max_rows * kRowInts) +
         padded(limits.max_table_blocks);
}

std::span<const int32_t> ints_of(std::span<const RaggedRow> rows) {
  return {reinterpret_cast<const int32_t*>(rows.data()), rows.size() * kRowInts};
}

// Lists that lie one behind the other on the device, gathered for one upload. Where each lies
// depends on the lengths of those before it alone.
class ListRun {
 public:
  ListRun(DevicePointer device, std::vector<int32_t>& host) : device_(device), host_(host) {
    host_.clear();
  }
  DeviceView add(std::span<const int32_t> values) {
    const int64_t first = std::ssize(host_);
    host_.insert(host_.end(), values.begin(), values.end());
    host_.resize(padded(std::ssize(host_)));
    return {device_ + first * int64_t{sizeof(int32_t)}, DType::kI32, {std::ssize(values)}};
  }
  void upload(Backend& backend) const {
    const auto bytes = std::as_bytes(std::span(host_));
    backend.upload(bytes, {device_, bytes.size()});
  }

 private:
  DevicePointer device_;
  std::vector<int32_t>& host_;
};

// The first part of `room`, filled.
template <class T>
DeviceView upload_list(Backend& backend, const char* name, std::span<const T> values,
                       const DeviceView& room) {
  const ShapeCheck check("stage");
  check.dtype(name, room, DType::kI32);
  check.index(name, std::ssize(values), 0, room.shape[0] + 1);
  const DeviceView filled = room.first(std::ssize(values));
  if (!values.empty()) backend.upload(std::as_bytes(values), filled.span());
  return filled;
}

StagedIndices checked_indices(const char* name, std::span<const int32_t> values, int64_t end,
                              const DeviceView& at) {
  const ShapeCheck check("stage");
  for (const int32_t value : values) check.index(name, value, 0, end);
  return {at, end};
}

StagedSlots checked_slots(std::span<const int32_t> slots, int64_t end, const DeviceView& at) {
  const ShapeCheck check("stage");
  int64_t num_stored = 0;
  for (const int32_t slot : slots) {
    check.index("slots", slot, -1, end);
    num_stored += slot >= 0;
  }
  return {at, end, num_stored};
}

// `batch` says where the lists lie, num_tokens, num_blocks and block_tokens.
StagedBatch checked_batch(std::span<const RaggedRow> rows, std::span<const int32_t> blocks,
                          StagedBatch batch) {
  const ShapeCheck check("stage");
  for (const int32_t block : blocks) check.index("blocks", block, 0, batch.num_blocks);
  int64_t next = 0;
  for (const RaggedRow& row : rows) {
    check.index("row.first_token", row.first_token, next, next + 1);
    check.index("row.num_tokens", row.num_tokens, 1, batch.num_tokens - next + 1);
    check.index("row.first_position", row.first_position, 0, INT32_MAX - row.num_tokens);
    const int64_t positions = int64_t{row.first_position} + row.num_tokens;
    const int64_t num_blocks = (positions + batch.block_tokens - 1) / batch.block_tokens;
    check.index("row.first_block", row.first_block, 0, std::ssize(blocks) - num_blocks + 1);
    batch.num_positions += positions;
    batch.num_pairs += int64_t{row.num_tokens} * row.first_position +
                       int64_t{row.num_tokens} * (row.num_tokens + 1) / 2;
    next += row.num_tokens;
  }
  check.index("the end of the last row", next, batch.num_tokens, batch.num_tokens + 1);
  return batch;
}

}  // namespace

StagedIndices stage_indices(Backend& backend, const char* name, std::span<const int32_t> values,
                            int64_t end, const DeviceView& room) {
  return checked_indices(name, values, end, upload_list(backend, name, values, room));
}

StagedSlots stage_slots(Backend& backend, std::span<const int32_t> slots, int64_t end,
                        const DeviceView& room) {
  return checked_slots(slots, end, upload_list(backend, "slots", slots, room));
}

StagedBatch stage_batch(Backend& backend, std::span<const RaggedRow> rows,
                        std::span<const int32_t> blocks, StagedBatch batch) {
  batch.rows = upload_list(backend, "rows", rows, batch.rows);
  batch.blocks = upload_list(backend, "blocks", blocks, batch.blocks);
  return checked_batch(rows, blocks, batch);
}

StagedDraws stage_draws(Backend& backend, std::span<const TokenDraw> draws,
                        const DeviceView& room) {
  const ShapeCheck check("stage");
  for (const TokenDraw& draw : draws) {
    check.index("draw.end_distance", draw.end_distance, 1, int64_t{kFarthest} + 1);
    check.index("draw.top_k", draw.top_k, 1, kMaxDrawTokens + 1);
    CHECK_LE(draw.top_p, TokenDraw::kWholePart);
  }
  return {upload_list(backend, "draws", draws, room)};
}

size_t StagingArea::bytes(const StagingLimits& limits) {
  return sizeof(int32_t) * (step_ints(limits) + padded(limits.max_logit_rows) +
                            padded(limits.max_logit_rows * kDrawInts));
}

StagingArea::StagingArea(Backend& backend, const StagingLimits& limits)
    : backend_(backend), limits_(limits), memory_(backend.allocate(bytes(limits))) {
  host_.reserve(step_ints(limits));
}

StagedStep StagingArea::stage(const StepInputs& inputs) {
  const ShapeCheck check("stage");
  const auto num_tokens = std::ssize(inputs.tokens);
  CHECK_EQ(std::ssize(inputs.positions), num_tokens);
  CHECK_EQ(std::ssize(inputs.slots), num_tokens);
  check.index("tokens", num_tokens, 0, limits_.max_tokens + 1);
  check.index("rows", std::ssize(inputs.rows), 0, limits_.max_rows + 1);
  check.index("blocks", std::ssize(inputs.blocks), 0, limits_.max_table_blocks + 1);
  const int64_t num_slots = int64_t{limits_.num_blocks} * limits_.block_tokens;
  ListRun lists(memory_.data(), host_);
  StagedStep step;
  step.tokens =
      checked_indices("tokens", inputs.tokens, limits_.num_token_ids, lists.add(inputs.tokens));
  step.positions =
      checked_indices("positions", inputs.positions, kMaxPosition, lists.add(inputs.positions));
  step.slots = checked_slots(inputs.slots, num_slots, lists.add(inputs.slots));
  DeviceView rows = lists.add(ints_of(inputs.rows));
  rows.shape = {std::ssize(inputs.rows), kRowInts};
  step.batch = checked_batch(inputs.rows, inputs.blocks,
                             {.rows = rows,
                              .blocks = lists.add(inputs.blocks),
                              .num_tokens = num_tokens,
                              .num_blocks = limits_.num_blocks,
                              .block_tokens = limits_.block_tokens});
  lists.upload(backend_);
  return step;
}

StagedIndices StagingArea::stage_logit_rows(std::span<const int32_t> rows, int64_t num_tokens) {
  const DeviceView room{memory_.data() + step_ints(limits_) * int64_t{sizeof(int32_t)}, DType::kI32,
                        Shape{limits_.max_logit_rows}};
  return stage_indices(backend_, "rows", rows, num_tokens, room);
}

StagedDraws StagingArea::stage_draws(std::span<const TokenDraw> draws) {
  const int64_t first = step_ints(limits_) + padded(limits_.max_logit_rows);
  const DeviceView room{memory_.data() + first * int64_t{sizeof(int32_t)}, DType::kI32,
                        Shape{limits_.max_logit_rows, kDrawInts}};
  return erne::stage_draws(backend_, draws, room);
}

}  // namespace erne
