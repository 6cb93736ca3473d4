// That cpu-remote proves what it is for: host code which looks at device memory does not survive.
#include <gtest/gtest.h>

#include <vector>

#include "backend/readback.h"
#include "parity/guarded_tensor.h"
#include "parity/instances.h"

namespace erne::parity {
namespace {

std::unique_ptr<Backend> remote() {
  for (const Instance& instance : instances())
    if (std::string_view(instance.name) == "cpu_remote") return instance.make(2);
  return nullptr;
}

TEST(RemoteDeathTest, TheHostSeesNothingOfDeviceMemory) {
  const auto backend = remote();
  const GuardedTensor x = random_tensor(DType::kF32, {4, 16}, 1);
  const DeviceView view = x.on(*backend);
  volatile float seen = 0;
  EXPECT_DEATH(seen = *DeviceAccess::pointer<volatile float>(view.data), "");
  backend->add(view, view);
  EXPECT_DEATH(*DeviceAccess::pointer<volatile float>(view.data) = seen, "");
  EXPECT_DEATH(backend->map_device(view.span()), "reads_host_memory");
}

TEST(Remote, UploadsOpsAndDownloadsReachIt) {
  const auto backend = remote();
  const GuardedTensor x = random_tensor(DType::kF32, {4, 16}, 1);
  const double before = x.at(5);
  backend->add(x.on(*backend), x.on(*backend));
  EXPECT_EQ(x.at(5), 2 * before);
  Readback readback(*backend);
  EXPECT_EQ(readback.read<float>(x.on(*backend))[5], 2 * before);
}

// Copies run late, as a GPU's may: in their turn, and before finish() returns.
TEST(Remote, CopiesBetweenTiersRunInTheirTurn) {
  const auto backend = remote();
  const GuardedTensor x = random_tensor(DType::kF32, {4, 16}, 1);
  const DeviceView view = x.on(*backend);
  const double before = x.at(5);
  const HostBuffer host = backend->allocate_host(view.bytes());
  const std::span bytes(static_cast<std::byte*>(host.data()), view.bytes());
  const float* numbers = static_cast<const float*>(host.data());
  backend->copy_out(view.span(), bytes);
  EXPECT_EQ(numbers[5], 0);
  backend->add(view, view);
  EXPECT_EQ(numbers[5], before);
  backend->copy_in(bytes, view.span());
  backend->finish();
  EXPECT_EQ(x.at(5), before);
}

}  // namespace
}  // namespace erne::parity
