// A device on which nothing happens but counting: how much memory is asked for. What a model takes
// is known so before there is a byte of it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <map>

#include "cuda/runtime/runtime.h"
#include "cuda/runtime/stream.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

class RehearsalRuntime final : public Runtime {
 public:
  // As a device of these facts, but with as much memory as is wanted, of which so much is taken.
  RehearsalRuntime(DeviceFacts facts, size_t taken_bytes) : facts_(std::move(facts)) {
    facts_.total_bytes = size_t{1} << 60;
    taken_ = taken_bytes;
    stream_.is_rehearsal = true;
  }

  const DeviceFacts& facts() const override { return facts_; }
  size_t available_bytes() const override { return facts_.total_bytes - taken_; }
  Stream& stream() override { return stream_; }

  void* allocate(size_t bytes) override {
    constexpr uintptr_t kAlignment = 256;
    void* const memory = reinterpret_cast<void*>(next_);
    next_ += (bytes / kAlignment + 1) * kAlignment;
    bytes_[memory] = bytes;
    taken_ += bytes;
    return memory;
  }
  void free(void* memory) override {
    taken_ -= bytes_.at(memory);
    bytes_.erase(memory);
  }
  void* allocate_host(size_t bytes) override { return std::calloc(1, bytes); }
  void free_host(void* memory) override { std::free(memory); }

  void copy_in(const void*, void*, size_t) override {}
  void copy_out(const void*, void*, size_t) override {}
  void finish() override {}
  std::unique_ptr<Mark> make_mark() override { return std::make_unique<Mark>(); }
  void set(Mark&) override {}
  void wait(const Mark&) override {}

  std::unique_ptr<Graph> record(const std::function<void()>& body) override {
    body();
    return std::make_unique<Graph>();
  }
  bool is_recording() const override { return false; }
  void run(const Graph&) override {}

 private:
  DeviceFacts facts_;
  Stream stream_;
  size_t taken_ = 0;
  uintptr_t next_ = uintptr_t{1} << 44;  // addresses that nobody looks through
  std::map<void*, size_t> bytes_;
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
