// A thread of a block as the emulation runs it: a function with a stack of its own, which gives up
// control where it waits for others and goes on where it was. All fibers of a block take turns on
// one thread of the host.
#pragma once

#include <cstddef>
#include <functional>

namespace erne::cuda::emulation {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // `body` begins at the next resume(). It must not throw, and the fiber before it must be done.
  void start(const std::function<void()>& body);
  // From outside: runs until the body pauses or ends.
  void resume();
  // From inside the body: back to whoever resumed it.
  void pause();
  bool done() const { return done_; }

 private:
  static void enter();

  const std::function<void()>* body_ = nullptr;
  std::byte* stack_;
  void* own_stack_pointer_ = nullptr;    // while paused
  void* outer_stack_pointer_ = nullptr;  // while running
  bool done_ = true;
  // What the address sanitizer knows of the stack that resumed this one.
  const void* outer_bottom_ = nullptr;
  size_t outer_size_ = 0;
};

}  // namespace erne::cuda::emulation
