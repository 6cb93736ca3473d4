#include "cuda/emulation/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// Keeps the callee's registers on the stack, changes stacks, takes that one's registers from it.
// System V ABI of x86-64.
extern "C" void erne_switch_stack(void** save, void* load);
asm(R"(
.text
.globl erne_switch_stack
.type erne_switch_stack, @function
erne_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size erne_switch_stack, .-erne_switch_stack
)");

namespace erne::cuda::emulation {
namespace {

constexpr size_t kStackBytes = 128 << 10;
constexpr size_t kGuardBytes = 4 << 10;  // below it: a kernel that needs more stops at once
constexpr int kSavedRegisters = 6;

thread_local Fiber* starting = nullptr;

void leave_for([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* bottom,
               [[maybe_unused]] size_t size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(fake_stack, bottom, size);
#endif
}

void arrive([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** bottom,
            [[maybe_unused]] size_t* size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack, bottom, size);
#endif
}

}  // namespace

Fiber::Fiber() {
  void* const memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  CHECK(memory != MAP_FAILED);
  CHECK_EQ(mprotect(memory, kGuardBytes, PROT_NONE), 0);
  stack_ = static_cast<std::byte*>(memory) + kGuardBytes;
}

Fiber::~Fiber() {
  munmap(stack_ - kGuardBytes, kGuardBytes + kStackBytes);
}

void Fiber::start(const std::function<void()>& body) {
  CHECK(done_);
  body_ = &body;
  done_ = false;
  // As if it had been left just before its first instruction: registers, then where to return to,
  // below an address at which a call would have left the stack misaligned by 8.
  auto* top = reinterpret_cast<void**>(stack_ + kStackBytes) - 1;
  *top = nullptr;  // enter() never returns
  *--top = reinterpret_cast<void*>(&Fiber::enter);
  top -= kSavedRegisters;
  std::memset(top, 0, kSavedRegisters * sizeof(void*));
  own_stack_pointer_ = top;
}

void Fiber::enter() {
  Fiber& self = *starting;
  arrive(nullptr, &self.outer_bottom_, &self.outer_size_);
  (*self.body_)();
  self.done_ = true;
  leave_for(nullptr, self.outer_bottom_, self.outer_size_);
  erne_switch_stack(&self.own_stack_pointer_, self.outer_stack_pointer_);
  __builtin_unreachable();
}

void Fiber::resume() {
  starting = this;
  void* fake_stack = nullptr;
  leave_for(&fake_stack, stack_, kStackBytes);
  erne_switch_stack(&outer_stack_pointer_, own_stack_pointer_);
  arrive(fake_stack, nullptr, nullptr);
}

void Fiber::pause() {
  void* fake_stack = nullptr;
  leave_for(&fake_stack, outer_bottom_, outer_size_);
  erne_switch_stack(&own_stack_pointer_, outer_stack_pointer_);
  arrive(fake_stack, &outer_bottom_, &outer_size_);
}

}  // namespace erne::cuda::emulation
