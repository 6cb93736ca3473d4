#include "apps/backends.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace erne::apps {
namespace {

using testing::HasSubstr;

TEST(Backends, NamesGiveThemAndWhatTheMachineLacksIsRefused) {
  for (const std::string& name : cpu_isa_names()) {
    const auto chosen = make_backend({"cpu", name, 1});
    if (!chosen.ok()) {
      EXPECT_EQ(chosen.status().code, Code::kUnsupported);
      EXPECT_THAT(chosen.status().message, HasSubstr("this machine has no " + name));
      continue;
    }
    EXPECT_THAT(chosen->backend->name(), HasSubstr(name == "auto" ? "" : name));
    EXPECT_EQ(chosen->threads, 1);
    EXPECT_THAT(chosen->summary, HasSubstr("1 threads"));
  }
}

TEST(Backends, AutoIsTheFirstThatTheMachineHas) {
  const auto names = cpu_isa_names();
  const auto best = std::ranges::find_if(names.begin() + 1, names.end(), [](const auto& name) {
    return make_backend({"cpu", name, 1}).ok();
  });
  EXPECT_STREQ(make_backend({"cpu", "auto", 1})->backend->name(),
               make_backend({"cpu", *best, 1})->backend->name());
  EXPECT_EQ(names.back(), "reference") << "every machine has it";
}

TEST(Backends, AnotherNameIsRefused) {
  for (const char* name : {"", "AVX2", "avx", "auto "}) {
    const auto chosen = make_backend({"cpu", name, 1});
    ASSERT_FALSE(chosen.ok()) << name;
    EXPECT_EQ(chosen.status().code, Code::kInvalid);
    EXPECT_THAT(chosen.status().message,
                HasSubstr("auto, amx, avx512_bf16, avx512, avx2, reference"));
  }
}

TEST(Backends, WithoutANumberOfThreadsThereIsOneForEachCpu) {
  EXPECT_GE(make_backend({"cpu", "auto", 0})->threads, 1);
}

// A GPU that is asked for by name is never quietly a CPU.
TEST(Backends, WhereThereIsNoGpuAutoIsTheCpuAndNamesAreRefused) {
  const auto gpu = make_backend({.device = "cuda:0", .threads = 1});
  const auto chosen = make_backend({.threads = 1});
  ASSERT_TRUE(chosen.ok());
  EXPECT_THAT(chosen->summary, HasSubstr(gpu.ok() ? "GPU 0" : "CPU"));
  for (const char* name : {"cuda", "cuda:999"}) {
    const auto refused = make_backend({.device = name, .threads = 1});
    if (gpu.ok() && std::string_view(name) == "cuda") continue;
    ASSERT_FALSE(refused.ok()) << name;
    EXPECT_EQ(refused.status().code, Code::kUnsupported) << name;
    EXPECT_EQ(refused.status().param, "--device") << name;
  }
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0 ", "CPU"})
    EXPECT_EQ(make_backend({.device = name}).status().code, Code::kInvalid) << name;
}

TEST(Backends, ThreadsAreThoseThatCouldRun) {
  EXPECT_EQ(choose_threads(0, 2).value(), 2);
  EXPECT_EQ(choose_threads(3, 2).value(), 3);
  EXPECT_EQ(choose_threads(256, 64).value(), 256);
  for (const int64_t threads : {int64_t{-1}, int64_t{65}, int64_t{1024}, int64_t{1} << 40}) {
    const auto refused = choose_threads(threads, 2);
    ASSERT_FALSE(refused.ok()) << threads;
    EXPECT_EQ(refused.status().param, "--threads");
  }
}

}  // namespace
}  // namespace erne::apps
