#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "cuda/runtime/launch.h"
#include "cuda/runtime/runtime.h"

namespace erne::cuda::inline emulated {
namespace {

// An H100's, so that what is chosen by them is what an H100 would get.
const DeviceFacts kFacts{"emulated", 90, 132, 227 << 10, size_t{80} << 30};

struct RecordedWork final : Graph {
  std::vector<std::function<void()>> work;
};

class EmulatedRuntime final : public Runtime {
 public:
  const DeviceFacts& facts() const override { return kFacts; }
  size_t available_bytes() const override {
    return kFacts.total_bytes - emulation::global_bytes_in_use();
  }
  Stream& stream() override { return stream_; }

  void* allocate(size_t bytes) override { return emulation::allocate_global(bytes); }
  void free(void* memory) override { emulation::free_global(memory); }
  void* allocate_host(size_t bytes) override { return std::calloc(1, bytes); }
  void free_host(void* memory) override { std::free(memory); }

  void copy_in(const void* host, void* device, size_t bytes) override {
    copy(host, device, device, bytes);
  }
  void copy_out(const void* device, void* host, size_t bytes) override {
    copy(device, host, device, bytes);
  }
  void finish() override {}

  std::unique_ptr<Graph> record(const std::function<void()>& body) override {
    auto graph = std::make_unique<RecordedWork>();
    CHECK(stream_.recording == nullptr);
    stream_.recording = &graph->work;
    body();
    stream_.recording = nullptr;
    return graph;
  }
  bool is_recording() const override { return stream_.recording != nullptr; }
  void run(const Graph& graph) override {
    for (const auto& work : dynamic_cast<const RecordedWork&>(graph).work) stream_.run(work);
  }

 private:
  void copy(const void* from, void* to, const void* device, size_t bytes) {
    emulation::check_global(device, bytes, 1);
    stream_.run([=] { std::memcpy(to, from, bytes); });
  }

  Stream stream_;
};

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::open(int) {
  return std::unique_ptr<Runtime>(std::make_unique<EmulatedRuntime>());
}

}  // namespace erne::cuda::inline emulated
