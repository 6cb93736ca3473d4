// The device as the back end uses it: its memory, and one stream of copies and kernels that run in
// the order in which they were asked for, behind the caller's back. There are two: CUDA's
// (gpu_runtime.cpp) and the emulation's (emulated_runtime.cpp), which does everything as late as a
// GPU might: when somebody waits for it.
// What the device refuses or loses becomes a DeviceFailure (backend/device_failure.h).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "cuda/language/device_choice.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

struct DeviceFacts {
  std::string name;
  int capability = 0;  // compute capability times ten: 80, 89, 90
  int multiprocessors = 0;
  size_t shared_bytes = 0;  // of one block at most
  size_t total_bytes = 0;
};

// Where kernels are launched into (launch.h).
struct Stream;

// Work that was recorded once and runs again as a whole.
class Graph {
 public:
  virtual ~Graph() = default;
};

// A place in the order of what was asked for.
class Mark {
 public:
  virtual ~Mark() = default;
};

class Runtime {
 public:
  // kUnsupported, with what to do, where this binary or this machine has no such device.
  static Result<std::unique_ptr<Runtime>> open(int device);
  virtual ~Runtime() = default;

  virtual const DeviceFacts& facts() const = 0;
  virtual size_t available_bytes() const = 0;
  virtual Stream& stream() = 0;

  virtual void* allocate(size_t bytes) = 0;  // zeroed
  virtual void free(void* memory) = 0;
  virtual void* allocate_host(size_t bytes) = 0;  // pinned, zeroed
  virtual void free_host(void* memory) = 0;

  virtual void copy_in(const void* host, void* device, size_t bytes) = 0;
  virtual void copy_out(const void* device, void* host, size_t bytes) = 0;
  // Waits until all is done that was asked for.
  virtual void finish() = 0;
  // Waits until all is done that was asked for before the mark was set last; a new one was not.
  virtual std::unique_ptr<Mark> make_mark() = 0;
  virtual void set(Mark& mark) = 0;
  virtual void wait(const Mark& mark) = 0;

  // What `body` asks for, recorded instead of done.
  virtual std::unique_ptr<Graph> record(const std::function<void()>& body) = 0;
  virtual bool is_recording() const = 0;
  virtual void run(const Graph& graph) = 0;
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
