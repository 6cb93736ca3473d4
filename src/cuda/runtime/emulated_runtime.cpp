#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <utility>

#include "base/check.h"
#include "cuda/emulation/global_memory.h"
#include "cuda/language/tensor_map.h"
#include "cuda/runtime/runtime.h"
#include "cuda/runtime/stream.h"

namespace erne::cuda::inline emulated {
namespace {

// By number: an H100, an A100, and an H100 whose warpgroups sum otherwise than its warps. The facts
// that are not theirs are an H100's, so that what is chosen by them is what an H100 would get.
struct Card {
  const char* name;
  emulation::DeviceModel model;
};
constexpr Card kCards[] = {{"emulated", {}},
                           {"emulated, of capability 80", {.capability = 80}},
                           {"emulated, with other warpgroups", {.warpgroups_cut_off = true}}};

DeviceFacts facts_of(const Card& card) {
  return {card.name, card.model.capability, 132, 227 << 10, size_t{80} << 30};
}

using Work = std::deque<std::function<void()>>;

struct RecordedWork final : Graph {
  Work work;
};

struct CountedWork final : Mark {
  uint64_t asked = 0;
};

class EmulatedRuntime final : public Runtime {
 public:
  explicit EmulatedRuntime(const Card& card) : facts_(facts_of(card)) {
    stream_.model = card.model;
    stream_.recording = &asked_;
  }
  ~EmulatedRuntime() override { finish(); }

  const DeviceFacts& facts() const override { return facts_; }
  size_t available_bytes() const override {
    return facts_.total_bytes - emulation::global_bytes_in_use();
  }
  Stream& stream() override { return stream_; }

  void* allocate(size_t bytes) override { return emulation::allocate_global(bytes); }
  void free(void* memory) override {
    finish();
    emulation::free_global(memory);
  }
  void* allocate_host(size_t bytes) override { return std::calloc(1, bytes); }
  void free_host(void* memory) override { std::free(memory); }

  void copy_in(const void* host, void* device, size_t bytes) override {
    copy(host, device, device, bytes);
  }
  void copy_out(const void* device, void* host, size_t bytes) override {
    copy(device, host, device, bytes);
  }
  void finish() override {
    do_until(done_ + asked_.size());
    emulation::end_launches();
  }
  std::unique_ptr<Mark> make_mark() override { return std::make_unique<CountedWork>(); }
  void set(Mark& mark) override { dynamic_cast<CountedWork&>(mark).asked = done_ + asked_.size(); }
  void wait(const Mark& mark) override { do_until(dynamic_cast<const CountedWork&>(mark).asked); }

  std::unique_ptr<Graph> record(const std::function<void()>& body) override {
    auto graph = std::make_unique<RecordedWork>();
    CHECK(!is_recording());
    stream_.recording = &graph->work;
    body();
    stream_.recording = &asked_;
    return graph;
  }
  bool is_recording() const override { return stream_.recording != &asked_; }
  void run(const Graph& graph) override {
    for (const auto& work : dynamic_cast<const RecordedWork&>(graph).work) stream_.run(work);
  }

 private:
  void copy(const void* from, void* to, const void* device, size_t bytes) {
    emulation::check_global(device, bytes, 1);
    stream_.run([=] { std::memcpy(to, from, bytes); });
  }

  void do_until(uint64_t count) {
    CHECK(!is_recording());
    while (done_ < count) {
      const auto work = std::move(asked_.front());
      asked_.pop_front();
      ++done_;
      work();
    }
  }

  DeviceFacts facts_;
  Stream stream_;
  Work asked_;
  uint64_t done_ = 0;  // of what was asked for before that
};

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::open(int device) {
  CHECK(device >= 0 && device < std::ssize(kCards));
  return std::unique_ptr<Runtime>(std::make_unique<EmulatedRuntime>(kCards[device]));
}

TensorMap make_tensor_map(const TensorShape& shape) {
  CHECK_EQ(reinterpret_cast<uintptr_t>(shape.data) % 16, 0u);
  CHECK(shape.row_bytes % 16 == 0 && shape.matrix_bytes % 16 == 0);
  CHECK(shape.box_rows > 0 && shape.box_rows <= 256);
  CHECK(shape.columns > 0 && shape.rows > 0);
  return {shape};
}

}  // namespace erne::cuda::inline emulated
