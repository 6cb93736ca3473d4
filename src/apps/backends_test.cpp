#include "apps/backends.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace erne::apps {
namespace {

using testing::HasSubstr;

TEST(Backends, NamesGiveThemAndWhatTheMachineLacksIsRefused) {
  for (const std::string& name : backend_names()) {
    const auto chosen = make_backend(name, 1);
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
  const auto names = backend_names();
  const auto best = std::ranges::find_if(
      names.begin() + 1, names.end(), [](const auto& name) { return make_backend(name, 1).ok(); });
  EXPECT_STREQ(make_backend("auto", 1)->backend->name(), make_backend(*best, 1)->backend->name());
  EXPECT_EQ(names.back(), "reference") << "every machine has it";
}

TEST(Backends, AnotherNameIsRefused) {
  for (const char* name : {"", "AVX2", "avx", "auto "}) {
    const auto chosen = make_backend(name, 1);
    ASSERT_FALSE(chosen.ok()) << name;
    EXPECT_EQ(chosen.status().code, Code::kInvalid);
    EXPECT_THAT(chosen.status().message,
                HasSubstr("auto, amx, avx512_bf16, avx512, avx2, reference"));
  }
}

TEST(Backends, WithoutANumberOfThreadsThereIsOneForEachCpu) {
  EXPECT_GE(make_backend("auto", 0)->threads, 1);
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
