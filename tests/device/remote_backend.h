// cpu-remote: a CPU back end whose device memory the host can neither read nor write. Its pages are
// protected (mprotect) but while an op, an upload or a download runs, so whoever looks through an
// address of the device's stops the test with SIGSEGV. Copies between tiers run as late as they
// may: before the next access to the device. What runs on it could run on a GPU.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/forwarding_backend.h"

namespace erne::tests {

class RemoteBackend final : public ForwardingBackend {
 public:
  explicit RemoteBackend(std::unique_ptr<Backend> inner);

  const char* name() const override { return name_.c_str(); }
  DeviceBuffer allocate(size_t bytes) override;
  void finish() override;
  bool reads_host_memory() const override { return false; }

 private:
  void do_copy_out(DeviceSpan from, std::span<std::byte> to) override;
  void do_copy_in(std::span<const std::byte> from, DeviceSpan to) override;
  void pass(const std::function<void()>& access) override;
  void protect_all(int protection);

  std::unique_ptr<Backend> owner_;
  std::string name_;
  std::map<void*, size_t> mappings_;
  std::vector<std::function<void()>> due_;  // copies
};

std::unique_ptr<Backend> make_remote(std::unique_ptr<Backend> inner);

}  // namespace erne::tests
