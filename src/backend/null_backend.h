// For tests: a back end that does nothing. Its memory is the host's, and every op is there to be
// overridden; so a new op costs no fake anything.
#pragma once

#include <cstdlib>
#include <cstring>

#include "backend/backend.h"

namespace erne {

class NullBackend : public Backend {
 public:
  const char* name() const override { return "null"; }
  MemoryInfo memory() const override { return {}; }
  DeviceBuffer allocate(size_t bytes) override { return {std::calloc(1, bytes), bytes, std::free}; }
  HostBuffer allocate_host(size_t bytes) override {
    return {std::calloc(1, bytes), bytes, std::free};
  }
  void finish() override {}
  bool reads_host_memory() const override { return true; }
  const char* packed_order() const override { return "null"; }
  size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in) const override {
    return static_cast<size_t>(format.bytes(out, in));
  }

 protected:
  void do_upload(std::span<const std::byte> from, DeviceSpan to) override {
    std::memcpy(DeviceAccess::pointer(to.data), from.data(), from.size());
  }
  void do_download(DeviceSpan from, std::span<std::byte> to) override {
    std::memcpy(to.data(), DeviceAccess::pointer(from.data), to.size());
  }
  void do_copy_out(DeviceSpan from, std::span<std::byte> to) override { do_download(from, to); }
  void do_copy_in(std::span<const std::byte> from, DeviceSpan to) override { do_upload(from, to); }
  void do_pack_rows(const Linear&, const TensorView&, int64_t) override {}
  void do_pack_encoded(const Linear&, const EncodedRows&, int64_t) override {}
  void do_embed(const Linear&, const StagedIndices&, const DeviceView&) override {}
  void do_rms_norm(const DeviceView&, const DeviceView&, float, const DeviceView&) override {}
  void do_add_rms_norm(const DeviceView&, const DeviceView&, const DeviceView&, float,
                       const DeviceView&) override {}
  void do_linear(const Linear&, const DeviceView&, const DeviceView&) override {}
  void do_rope(const DeviceView&, const StagedIndices&, const DeviceView&, int, int) override {}
  void do_kv_write(const KvWriteArgs&) override {}
  void do_attention(const AttentionArgs&) override {}
  void do_silu_mul(const DeviceView&, const DeviceView&) override {}
  void do_add(const DeviceView&, const DeviceView&) override {}
  void do_route(const RouteArgs&) override {}
  void do_experts(const ExpertsArgs&) override {}
  void do_gather(const DeviceView&, const StagedIndices&, const DeviceView&) override {}
};

}  // namespace erne
