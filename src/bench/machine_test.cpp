#include "bench/machine.h"

#include <gtest/gtest.h>

namespace erne::bench {
namespace {

constexpr const char* kCpuinfo =
    "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n"
    "model name\t: Intel(R) Xeon(R) Platinum 8480+\nflags\t\t: fpu: vme\nstepping\t: 8\n\n"
    "processor\t: 1\ncpu family\t: 7\nmodel\t\t: 1\nmodel name\t: other\n";

TEST(ParseCpuinfo, ReadsTheFirstCpu) {
  const Machine machine = parse_cpuinfo(kCpuinfo);
  EXPECT_EQ(machine.cpu, "Intel(R) Xeon(R) Platinum 8480+");
  EXPECT_EQ(machine.family, 6);
  EXPECT_EQ(machine.model, 143);
  EXPECT_EQ(machine_slug(machine), "intel-r-xeon-r-platinum-8480-f6-m143");
}

TEST(ParseCpuinfo, MakesAFileNameOfWhatIsMissing) {
  EXPECT_EQ(machine_slug(parse_cpuinfo("")), "cpu-f0-m0");
  EXPECT_EQ(machine_slug(parse_cpuinfo("model name : ../../etc\nmodel : 5x")), "etc-f0-m5");
}

TEST(Machine, KnowsThisOne) {
  const Machine machine = this_machine();
  EXPECT_GE(machine.num_cpus, 1);
  EXPECT_GT(machine.memory_bytes, size_t{1} << 20);
}

TEST(UtcDate, IsIso8601) {
  EXPECT_EQ(utc_date(1'000'000'000), "2001-09-09T01:46:40Z");
}

}  // namespace
}  // namespace erne::bench
