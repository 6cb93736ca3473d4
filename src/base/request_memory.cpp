#include "base/request_memory.h"

#include <fmt/format.h>
#include <malloc.h>

#include <utility>

namespace erne {
namespace {

// Trimming walks over every free piece of every heap, milliseconds for large ones.
constexpr size_t kWorthTrimming = size_t{16} << 20;

constexpr size_t kPartForSmall = 8;  // of the limit
constexpr size_t kSmallPart = 64;    // of the limit, what a small request has at most

double megabytes(size_t bytes) {
  return static_cast<double>(bytes) / 1e6;
}

}  // namespace

RequestMemory::Claim::Claim(Claim&& other) noexcept
    : memory_(other.memory_), bytes_(std::exchange(other.bytes_, 0)) {}

RequestMemory::Claim& RequestMemory::Claim::operator=(Claim&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Result<void> RequestMemory::Claim::take(size_t bytes, const char* what) {
  CHECK(memory_ != nullptr);
  const size_t all = memory_->limit_;
  const bool is_small = bytes <= all / kSmallPart && bytes_ <= all / kSmallPart - bytes;
  const size_t limit = is_small ? all : all - all / kPartForSmall;
  if (bytes > limit || bytes_ > limit - bytes)
    return invalid(
        fmt::format("{} would take {:.1f} MB of memory, and large requests together may have "
                    "{:.1f} MB (--max-request-memory): ask for less at once",
                    what, megabytes(bytes_ + bytes), megabytes(limit)));
  size_t used = memory_->used_;
  do {
    if (used > limit - bytes)
      return Status{
          Code::kExhausted,
          fmt::format("{} needs {:.1f} MB of memory more, and {:.1f} of the {:.1f} MB for "
                      "requests (--max-request-memory) are taken: try again later",
                      what, megabytes(bytes), megabytes(used), megabytes(limit))};
  } while (!memory_->used_.compare_exchange_weak(used, used + bytes));
  bytes_ += bytes;
  return {};
}

void RequestMemory::Claim::give_back(size_t bytes) {
  if (bytes == 0) return;
  CHECK_LE(bytes, bytes_);
  bytes_ -= bytes;
  memory_->used_ -= bytes;
  memory_->given_back_ += bytes;
}

void RequestMemory::trim() {
  if (given_back_ < kWorthTrimming) return;
  if (given_back_.exchange(0) >= kWorthTrimming) malloc_trim(0);
}

}  // namespace erne
