#include "device/remote_backend.h"

#include <sys/mman.h>

#include <utility>

namespace erne::tests {

RemoteBackend::RemoteBackend(std::unique_ptr<Backend> inner)
    : ForwardingBackend(*inner),
      owner_(std::move(inner)),
      name_(std::string("remote-") + owner_->name()) {}

DeviceBuffer RemoteBackend::allocate(size_t bytes) {
  if (bytes == 0) return {};
  void* const data = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(data != MAP_FAILED);
  mappings_.emplace(data, bytes);
  return {data, bytes, [this, bytes](void* pages) {
            mappings_.erase(pages);
            munmap(pages, bytes);
          }};
}

void RemoteBackend::protect_all(int protection) {
  for (const auto& [data, bytes] : mappings_) CHECK_EQ(mprotect(data, bytes, protection), 0);
}

void RemoteBackend::pass(const std::function<void()>& access) {
  protect_all(PROT_READ | PROT_WRITE);
  for (const auto& copy : std::exchange(due_, {})) copy();
  access();
  protect_all(PROT_NONE);
}

void RemoteBackend::finish() {
  pass([] {});
}

void RemoteBackend::do_copy_out(DeviceSpan from, std::span<std::byte> to) {
  due_.push_back([this, from, to] { inner_.copy_out(from, to); });
}

void RemoteBackend::do_copy_in(std::span<const std::byte> from, DeviceSpan to) {
  due_.push_back([this, from, to] { inner_.copy_in(from, to); });
}

std::unique_ptr<Backend> make_remote(std::unique_ptr<Backend> inner) {
  return std::make_unique<RemoteBackend>(std::move(inner));
}

}  // namespace erne::tests
