#include "backend/staged_step.h"

#include <array>

#include "backend/backend.h"
#include "backend/shape_check.h"

namespace erne {
namespace {

constexpr int64_t kRowInts = sizeof(RaggedRow) / sizeof(int32_t);
constexpr int64_t kDrawInts = sizeof(TokenDraw) / sizeof(int32_t);
constexpr int64_t kAlignedInts = 16;  // each list begins on a cache line

// Tokens, positions, slots, rows, block tables, rows of logits and draws, at the limits.
std::array<Shape, 7> list_shapes(const StagingLimits& limits) {
  const Shape tokens{limits.max_tokens};
  return {tokens,
          tokens,
          tokens,
          Shape{limits.max_rows, kRowInts},
          Shape{limits.max_table_blocks},
          Shape{limits.max_logit_rows},
          Shape{limits.max_logit_rows, kDrawInts}};
}

int64_t padded_bytes(const Shape& shape) {
  const int64_t ints = (shape.elements() + kAlignedInts - 1) / kAlignedInts * kAlignedInts;
  return ints * static_cast<int64_t>(sizeof(int32_t));
}

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

}  // namespace

StagedIndices stage_indices(Backend& backend, const char* name, std::span<const int32_t> values,
                            int64_t end, const DeviceView& room) {
  const ShapeCheck check("stage");
  for (const int32_t value : values) check.index(name, value, 0, end);
  return {upload_list(backend, name, values, room), end};
}

StagedSlots stage_slots(Backend& backend, std::span<const int32_t> slots, int64_t end,
                        const DeviceView& room) {
  const ShapeCheck check("stage");
  int64_t num_stored = 0;
  for (const int32_t slot : slots) {
    check.index("slots", slot, -1, end);
    num_stored += slot >= 0;
  }
  return {upload_list(backend, "slots", slots, room), end, num_stored};
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

StagedBatch stage_batch(Backend& backend, std::span<const RaggedRow> rows,
                        std::span<const int32_t> blocks, StagedBatch batch) {
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
  batch.rows = upload_list(backend, "rows", rows, batch.rows);
  batch.blocks = upload_list(backend, "blocks", blocks, batch.blocks);
  return batch;
}

size_t StagingArea::bytes(const StagingLimits& limits) {
  int64_t bytes = 0;
  for (const Shape& shape : list_shapes(limits)) bytes += padded_bytes(shape);
  return static_cast<size_t>(bytes);
}

StagingArea::StagingArea(Backend& backend, const StagingLimits& limits)
    : backend_(backend), limits_(limits), memory_(backend.allocate(bytes(limits))) {
  DeviceView* const views[] = {&tokens_, &positions_,  &slots_, &rows_,
                               &blocks_, &logit_rows_, &draws_};
  const auto shapes = list_shapes(limits);
  DevicePointer at = memory_.data();
  for (size_t i = 0; i < shapes.size(); ++i) {
    *views[i] = {at, DType::kI32, shapes[i]};
    at = at + padded_bytes(shapes[i]);
  }
}

StagedStep StagingArea::stage(const StepInputs& inputs) {
  const auto num_tokens = std::ssize(inputs.tokens);
  CHECK_EQ(std::ssize(inputs.positions), num_tokens);
  CHECK_EQ(std::ssize(inputs.slots), num_tokens);
  const int64_t num_slots = int64_t{limits_.num_blocks} * limits_.block_tokens;
  return {
      .tokens = stage_indices(backend_, "tokens", inputs.tokens, limits_.num_token_ids, tokens_),
      .positions = stage_indices(backend_, "positions", inputs.positions, kMaxPosition, positions_),
      .slots = stage_slots(backend_, inputs.slots, num_slots, slots_),
      .batch = stage_batch(backend_, inputs.rows, inputs.blocks,
                           {.rows = rows_,
                            .blocks = blocks_,
                            .num_tokens = num_tokens,
                            .num_blocks = limits_.num_blocks,
                            .block_tokens = limits_.block_tokens})};
}

StagedIndices StagingArea::stage_logit_rows(std::span<const int32_t> rows, int64_t num_tokens) {
  return stage_indices(backend_, "rows", rows, num_tokens, logit_rows_);
}

StagedDraws StagingArea::stage_draws(std::span<const TokenDraw> draws) {
  return erne::stage_draws(backend_, draws, draws_);
}

}  // namespace erne
