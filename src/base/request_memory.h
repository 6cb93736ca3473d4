// What all requests together may take of the process's memory. Whatever grows with what a client
// sends or asks for is claimed here before it is taken: bodies, what is parsed of them, prompts,
// scores, replies. So a request that is too much ends with a sentence, and the process never learns
// what its allocator does when there is nothing left. Claims are estimates from above, to within
// what an allocator rounds. An eighth is for small requests alone, so that they are served whatever
// the large ones take.
#pragma once

#include <atomic>
#include <cstddef>

#include "base/status.h"

namespace erne {

class RequestMemory {  // thread-safe; outlives its claims
 public:
  explicit RequestMemory(size_t limit) : limit_(limit) {}

  // One request's share. Of one thread at a time; given back when it goes.
  class Claim {
   public:
    Claim() = default;  // of no memory, and it never has any
    explicit Claim(RequestMemory& memory) : memory_(&memory) {}
    Claim(Claim&& other) noexcept;
    Claim& operator=(Claim&& other) noexcept;
    ~Claim() { give_back(bytes_); }

    // So many bytes more. kInvalid where one request can never have so much, kExhausted where other
    // requests have it now; nothing is taken then. `what` begins the sentence: "the prompt".
    Result<void> take(size_t bytes, const char* what);
    void give_back(size_t bytes);  // at most what it has
    size_t bytes() const { return bytes_; }

   private:
    RequestMemory* memory_ = nullptr;
    size_t bytes_ = 0;
  };

  size_t limit() const { return limit_; }
  size_t used() const { return used_; }

  // Returns memory that claims gave back, and freed, to the operating system: where it is much, and
  // not each time. For a thread that has just finished with a request and is in no hurry.
  void trim();

 private:
  const size_t limit_;
  std::atomic<size_t> used_ = 0;
  std::atomic<size_t> given_back_ = 0;  // since the last trim
};

}  // namespace erne
