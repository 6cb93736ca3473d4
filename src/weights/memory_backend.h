// For tests: a back end of memory alone.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backend/backend.h"

namespace erne::weights {

// Packs plain weights by copying them, and counts what is allocated.
class MemoryBackend final : public Backend {
 public:
  const char* name() const override { return "memory"; }
  DeviceBuffer allocate(size_t bytes, Space) override {
    live_bytes_ += bytes;
    peak_bytes = std::max(peak_bytes, live_bytes_);
    return {std::calloc(1, bytes), bytes, [this, bytes](void* data) {
              live_bytes_ -= bytes;
              std::free(data);
            }};
  }
  MemoryInfo memory() const override { return {}; }
  const char* packed_order() const override { return "rows"; }
  size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in) const override {
    return format.bytes(out, in);
  }

  size_t live_bytes() const { return live_bytes_; }
  size_t peak_bytes = 0;

 private:
  void do_pack_rows(const Linear& w, const TensorView& rows, int64_t first_row) override {
    if (w.format->is_quantized()) return;
    std::memcpy(w.data.as<std::byte>() + first_row * w.in * dtype_bytes(rows.dtype), rows.data,
                rows.bytes());
  }
  void do_pack_encoded(const Linear&, const EncodedRows&, int64_t) override {}
  void do_embed(const Linear&, std::span<const int32_t>, TensorView) override {}
  void do_rms_norm(TensorView, TensorView, float, TensorView) override {}
  void do_add_rms_norm(TensorView, TensorView, TensorView, float, TensorView) override {}
  void do_linear(const Linear&, TensorView, TensorView) override {}
  void do_rope(TensorView, std::span<const int32_t>, TensorView, int, int) override {}
  void do_kv_write(const KvWriteArgs&) override {}
  void do_attention(const AttentionArgs&) override {}
  void do_silu_mul(TensorView, TensorView) override {}
  void do_add(TensorView, TensorView) override {}
  void do_route(const RouteArgs&) override {}
  int64_t do_experts(const ExpertsArgs&) override { return 0; }
  void do_gather(TensorView, std::span<const int32_t>, TensorView) override {}
  void do_copy_blocks(std::span<const KvLayerView>,
                      std::span<const std::pair<int32_t, int32_t>>) override {}

  size_t live_bytes_ = 0;
};

}  // namespace erne::weights
