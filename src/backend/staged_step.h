// The inputs of a step in a device's memory. They are checked once a step and uploaded together,
// into memory that is allocated once: so ops need not look at them again, layer after layer, and in
// steps of as many tokens and rows their addresses are the same, as a captured graph needs it.
//
// Each staged list remembers what it was checked against; an op CHECKs that against what it works
// on, which costs nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/device_memory.h"
#include "backend/token_draw.h"

namespace erne {

class Backend;

// A position is exact as a float32, which the rotary angle is a product of.
constexpr int32_t kMaxPosition = 1 << 24;

// Each in [0, end).
struct StagedIndices {
  DeviceView values = {};  // [n] int32
  int64_t end = 0;
  int64_t size() const { return values.shape[0]; }
  StagedIndices part(int64_t first, int64_t count) const {
    return {values.rows(first, count), end};
  }
};

// Each in [-1, end); -1: the token is computed and not stored.
struct StagedSlots {
  DeviceView values = {};  // [n] int32: block * block_tokens + offset
  int64_t end = 0;         // num_blocks * block_tokens
  int64_t num_stored = 0;  // how many are not -1
  int64_t size() const { return values.shape[0]; }
};

// One sequence's rows in a step's ragged batch. In device memory as four int32.
struct RaggedRow {
  int32_t first_token;  // row in the step's token dimension
  int32_t num_tokens;
  int32_t first_position;  // tokens before them that have KV
  int32_t first_block;     // into the block tables; covers first_position + num_tokens positions
};

// Rows that cover [0, num_tokens) in order. Each one's blocks exist and reach its last position.
struct StagedBatch {
  DeviceView rows = {};    // [B, 4] int32: RaggedRow
  DeviceView blocks = {};  // [n] int32, each in [0, num_blocks): the block tables, concatenated
  int64_t num_tokens = 0;
  int num_blocks = 0, block_tokens = 0;  // of the KV memory that they are for
  // How much attention that is: positions that rows read, and pairs of a query and a key.
  int64_t num_positions = 0, num_pairs = 0;
  int64_t num_rows() const { return rows.shape[0]; }
};

// How each row of a list of logits is drawn from.
struct StagedDraws {
  DeviceView values = {};  // [n, 8] int32: TokenDraw
  int64_t size() const { return values.shape[0]; }
};

// The same on the host.
struct StepInputs {
  std::span<const int32_t> tokens;     // [T] ids
  std::span<const int32_t> positions;  // [T] of the rotary embedding; usually index in sequence
  std::span<const int32_t> slots;      // [T]
  std::span<const RaggedRow> rows;     // [B]
  std::span<const int32_t> blocks;
};

struct StagedStep {
  StagedIndices tokens, positions;
  StagedSlots slots;
  StagedBatch batch;
  int64_t num_tokens() const { return tokens.size(); }
};

// What a step may hold, and what its numbers are checked against.
struct StagingLimits {
  int max_tokens = 0, max_rows = 0;
  int64_t max_table_blocks = 0;  // of all rows' block tables together
  int max_logit_rows = 0;        // at a time
  int64_t num_token_ids = 0;     // of the embedding table
  int num_blocks = 0, block_tokens = 0;
};

// Owns the memory. One step at a time: staging the next one overwrites the last.
class StagingArea {
 public:
  StagingArea(Backend& backend, const StagingLimits& limits);
  static size_t bytes(const StagingLimits& limits);

  // CHECKs every number, and that all fits.
  StagedStep stage(const StepInputs& inputs);
  // Rows of the step whose logits are wanted, each in [0, num_tokens).
  StagedIndices stage_logit_rows(std::span<const int32_t> rows, int64_t num_tokens);
  // How the first of those are drawn from.
  StagedDraws stage_draws(std::span<const TokenDraw> draws);

 private:
  Backend& backend_;
  StagingLimits limits_;
  DeviceBuffer memory_;
  std::vector<int32_t> host_;  // the lists of a step as they are uploaded
};

// One list alone, into memory that has room for it. `name` is for the CHECK.
StagedIndices stage_indices(Backend& backend, const char* name, std::span<const int32_t> values,
                            int64_t end, const DeviceView& room);
StagedSlots stage_slots(Backend& backend, std::span<const int32_t> slots, int64_t end,
                        const DeviceView& room);
StagedDraws stage_draws(Backend& backend, std::span<const TokenDraw> draws, const DeviceView& room);
// `batch` says num_tokens, num_blocks and block_tokens; its views are the room.
StagedBatch stage_batch(Backend& backend, std::span<const RaggedRow> rows,
                        std::span<const int32_t> blocks, StagedBatch batch);

}  // namespace erne
