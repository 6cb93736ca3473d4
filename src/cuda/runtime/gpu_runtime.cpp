#include <fmt/format.h>

#include "cuda/runtime/cuda_call.h"
#include "cuda/runtime/runtime.h"
#include "cuda/runtime/stream.h"

namespace erne::cuda::inline gpu {
namespace {

struct RecordedGraph final : Graph {
  ~RecordedGraph() override { cudaGraphExecDestroy(executable); }
  cudaGraphExec_t executable = nullptr;
};

struct Event final : Mark {
  Event() {
    cuda_call("cudaEventCreate", cudaEventCreateWithFlags(&handle, cudaEventDisableTiming));
  }
  ~Event() override { cudaEventDestroy(handle); }
  cudaEvent_t handle = nullptr;
};

DeviceFacts facts_of(int device) {
  cudaDeviceProp properties;
  cuda_call("cudaGetDeviceProperties", cudaGetDeviceProperties(&properties, device));
  return {properties.name, properties.major * 10 + properties.minor, properties.multiProcessorCount,
          properties.sharedMemPerBlockOptin, properties.totalGlobalMem};
}

class CudaRuntime final : public Runtime {
 public:
  explicit CudaRuntime(int device) {
    cuda_call("cudaSetDevice", cudaSetDevice(device));
    facts_ = facts_of(device);
    stream_.starts_early = facts_.capability >= 90;
    cuda_call("cudaStreamCreate",
              cudaStreamCreateWithFlags(&stream_.handle, cudaStreamNonBlocking));
  }
  ~CudaRuntime() override { cudaStreamDestroy(stream_.handle); }

  const DeviceFacts& facts() const override { return facts_; }
  size_t available_bytes() const override {
    size_t available = 0, total = 0;
    cuda_call("cudaMemGetInfo", cudaMemGetInfo(&available, &total));
    return available;
  }
  Stream& stream() override { return stream_; }

  void* allocate(size_t bytes) override {
    void* memory = nullptr;
    cuda_call("cudaMalloc", cudaMalloc(&memory, bytes));
    cuda_call("cudaMemsetAsync", cudaMemsetAsync(memory, 0, bytes, stream_.handle));
    return memory;
  }
  void free(void* memory) override { cudaFree(memory); }
  void* allocate_host(size_t bytes) override {
    void* memory = nullptr;
    cuda_call("cudaMallocHost", cudaMallocHost(&memory, bytes));
    __builtin_memset(memory, 0, bytes);
    return memory;
  }
  void free_host(void* memory) override { cudaFreeHost(memory); }

  void copy_in(const void* host, void* device, size_t bytes) override {
    cuda_call("cudaMemcpyAsync",
              cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_.handle));
  }
  void copy_out(const void* device, void* host, size_t bytes) override {
    cuda_call("cudaMemcpyAsync",
              cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_.handle));
  }
  void finish() override { cuda_call("a kernel", cudaStreamSynchronize(stream_.handle)); }

  std::unique_ptr<Mark> make_mark() override { return std::make_unique<Event>(); }
  void set(Mark& mark) override {
    cuda_call("cudaEventRecord", cudaEventRecord(static_cast<Event&>(mark).handle, stream_.handle));
  }
  void wait(const Mark& mark) override {
    cuda_call("cudaEventSynchronize", cudaEventSynchronize(static_cast<const Event&>(mark).handle));
  }

  std::unique_ptr<Graph> record(const std::function<void()>& body) override {
    cuda_call("cudaStreamBeginCapture",
              cudaStreamBeginCapture(stream_.handle, cudaStreamCaptureModeThreadLocal));
    body();
    cudaGraph_t graph = nullptr;
    cuda_call("cudaStreamEndCapture", cudaStreamEndCapture(stream_.handle, &graph));
    auto recorded = std::make_unique<RecordedGraph>();
    const cudaError_t made = cudaGraphInstantiate(&recorded->executable, graph, 0);
    cudaGraphDestroy(graph);
    cuda_call("cudaGraphInstantiate", made);
    return recorded;
  }
  bool is_recording() const override {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cuda_call("cudaStreamIsCapturing", cudaStreamIsCapturing(stream_.handle, &status));
    return status != cudaStreamCaptureStatusNone;
  }
  void run(const Graph& graph) override {
    cuda_call("cudaGraphLaunch",
              cudaGraphLaunch(static_cast<const RecordedGraph&>(graph).executable, stream_.handle));
  }

 private:
  DeviceFacts facts_;
  Stream stream_;
};

}  // namespace

void cuda_call(const char* what, cudaError_t result) {
  if (result == cudaSuccess) return;
  throw DeviceFailure(fmt::format("the GPU: {} failed: {} ({})", what, cudaGetErrorString(result),
                                  cudaGetErrorName(result)));
}

Result<std::unique_ptr<Runtime>> Runtime::open(int device) {
  int count = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  if (found != cudaSuccess)
    return unsupported(
        fmt::format("no GPU can be used: {}; --device auto or cpu computes on the CPU",
                    cudaGetErrorString(found)),
        "--device");
  if (device >= count)
    return unsupported(fmt::format("there are {} GPUs, numbered from 0", count), "--device");
  try {
    return std::unique_ptr<Runtime>(std::make_unique<CudaRuntime>(device));
  } catch (const DeviceFailure& failure) {
    return unsupported(failure.what(), "--device");
  }
}

}  // namespace erne::cuda::inline gpu
