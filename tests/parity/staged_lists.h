// Lists as ops take them, staged for one case: owns their memory.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"

namespace erne::parity {

class StagedLists {
 public:
  explicit StagedLists(Backend& backend) : backend_(backend) {}

  StagedIndices indices(std::span<const int32_t> values, int64_t end) {
    return stage_indices(backend_, "values", values, end, room({std::ssize(values)}));
  }
  StagedSlots slots(std::span<const int32_t> slots, const KvLayerView& kv) {
    return stage_slots(backend_, slots, int64_t{kv.num_blocks} * kv.block_tokens,
                       room({std::ssize(slots)}));
  }
  StagedBatch batch(std::span<const RaggedRow> rows, std::span<const int32_t> blocks,
                    int64_t num_tokens, const KvLayerView& kv) {
    return stage_batch(backend_, rows, blocks,
                       {.rows = room({std::ssize(rows), 4}),
                        .blocks = room({std::ssize(blocks)}),
                        .num_tokens = num_tokens,
                        .num_blocks = kv.num_blocks,
                        .block_tokens = kv.block_tokens});
  }
  StagedDraws draws(std::span<const TokenDraw> draws) {
    return stage_draws(backend_, draws,
                       room({std::ssize(draws), sizeof(TokenDraw) / sizeof(int32_t)}));
  }
  DeviceView floats(std::span<const float> values) {
    DeviceView view = room({std::ssize(values)});
    view.dtype = DType::kF32;
    backend_.upload(std::as_bytes(values), view.span());
    return view;
  }

 private:
  DeviceView room(Shape shape) {
    memory_.push_back(backend_.allocate(sizeof(int32_t) * shape.elements()));
    return {memory_.back().data(), DType::kI32, shape};
  }

  Backend& backend_;
  std::vector<DeviceBuffer> memory_;
};

}  // namespace erne::parity
