#include "cpu/machine/host_memory.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/temp_folder_fixture.h"

namespace erne::cpu {
namespace {

class HostMemory : public testing::Test {
 protected:
  void SetUp() override {
    write("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 3 kB\nMemAvailable:    600 kB\n");
  }
  void write(const std::string& path, const std::string& text) { folder_.write(path, text); }
  void expect(size_t total_kb, size_t available_kb) const {
    const MemoryInfo info = host_memory(root_);
    EXPECT_EQ(info.total_bytes, total_kb * 1024);
    EXPECT_EQ(info.available_bytes, available_kb * 1024);
  }
  const TempFolder folder_;
  const std::filesystem::path& root_ = folder_.path();
};

TEST_F(HostMemory, WithoutAControlGroup) {
  expect(1000, 600);
}

TEST_F(HostMemory, LimitOfVersion2CountsItsFileCacheAsAvailable) {
  write("proc/self/cgroup", "0::/service/a\n");
  write("sys/fs/cgroup/service/a/memory.max", "409600\n");
  write("sys/fs/cgroup/service/a/memory.current", "204800\n");
  write("sys/fs/cgroup/service/a/memory.stat", "anon 1\ninactive_file 102400\n");
  expect(400, 300);
}

TEST_F(HostMemory, LimitOfAGroupAboveBindsAsWell) {
  write("proc/self/cgroup", "0::/pods/pod1/box\n");
  write("sys/fs/cgroup/pods/pod1/box/memory.max", "max\n");
  write("sys/fs/cgroup/pods/pod1/memory.max", "409600\n");
  write("sys/fs/cgroup/pods/pod1/memory.current", "307200\n");
  write("sys/fs/cgroup/pods/pod1/memory.stat", "active_file 51200\ninactive_file 51200\n");
  expect(400, 200);
}

TEST_F(HostMemory, LimitOfVersion1) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/box\n0::/\n");
  write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "512000\n");
  write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "614400\n");
  expect(500, 0);
}

TEST_F(HostMemory, InAContainerTheGroupsFilesLieAtTheTop) {
  write("proc/self/cgroup", "0::/../../outside\n");
  write("sys/fs/cgroup/memory.max", "512000\n");
  write("sys/fs/cgroup/memory.current", "0\n");
  expect(500, 500);
}

TEST_F(HostMemory, NoLimitOrALimitAboveTheMachine) {
  write("proc/self/cgroup", "0::/a\n");
  write("sys/fs/cgroup/a/memory.max", "max\n");
  write("sys/fs/cgroup/a/memory.current", "204800\n");
  write("sys/fs/cgroup/memory.max", "9223372036854771712\n");
  write("sys/fs/cgroup/memory.current", "204800\n");
  expect(1000, 600);
}

TEST_F(HostMemory, FilesThatMakeNoSenseAreNoLimit) {
  write("proc/self/cgroup", "nonsense\n1\n:\n::\n");
  write("sys/fs/cgroup/memory.max", "many\n");
  expect(1000, 600);
  write("proc/meminfo", "");
  expect(0, 0);
}

TEST_F(HostMemory, TheProcessesOwnLimitsCount) {
  write("proc/self/status", "VmPeak:  400 kB\nVmSize:\t     300 kB\nVmData:\t  50 kB\n");
  const auto limits = [&](const std::string& space, const std::string& data) {
    write("proc/self/limits",
          "Limit                     Soft Limit           Hard Limit           Units     \n"
          "Max data size             " +
              data +
              "            unlimited            bytes     \n"
              "Max address space         " +
              space + "            unlimited            bytes     \n");
  };
  limits("unlimited", "unlimited");
  expect(1000, 600);
  limits("512000", "unlimited");
  expect(1000, 200);
  limits("512000", "153600");
  expect(1000, 100);
  limits("1024", "153600");
  expect(1000, 0);
}

TEST_F(HostMemory, CpuQuotaRoundsToWholeCpus) {
  const int all = host_cpus(root_);
  EXPECT_GE(all, 1);
  write("sys/fs/cgroup/cpu.max", "20000 100000\n");
  EXPECT_EQ(host_cpus(root_), 1);
  write("sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(host_cpus(root_), all);
}

TEST(AllocateHost, IsZeroedAndAlignedAtAnySize) {
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{4097}, size_t{3} << 20}) {
    const HostBuffer buffer = allocate_host(bytes);
    EXPECT_EQ(buffer.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    const auto* data = static_cast<const char*>(buffer.data());
    EXPECT_TRUE(std::all_of(data, data + bytes, [](char c) { return c == 0; }));
  }
}

TEST(AllocateHost, ThisMachineHasMemory) {
  const MemoryInfo info = host_memory();
  EXPECT_GT(info.available_bytes, 0u);
  EXPECT_LE(info.available_bytes, info.total_bytes);
}

}  // namespace
}  // namespace erne::cpu
