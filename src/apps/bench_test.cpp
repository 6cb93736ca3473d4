#include "apps/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "cpu/cpu_backend.h"
#include "model/registry.h"

namespace erne::apps {
namespace {

using testing::HasSubstr;

struct Ended {
  int status;
  std::string out, error;
};

Ended run(const std::vector<std::string>& arguments) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int status = run_bench(arguments);
  return {status, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(BenchCommand, HelpListsEveryFlagWithItsDefault) {
  const Ended serve = run({"serve", "--help"});
  EXPECT_EQ(serve.status, 0);
  for (const char* flag : {"--base-url",
                           "--endpoint",
                           "--served-model-name",
                           "--api-key",
                           "--num-prompts",
                           "--max-concurrency",
                           "--request-rate",
                           "--dataset",
                           "--input-len",
                           "--output-len",
                           "--vocab-size",
                           "--seed",
                           "--ignore-eos",
                           "--temperature",
                           "--timeout",
                           "--model",
                           "--weight-bytes",
                           "--save-result",
                           "--plot",
                           "http://127.0.0.1:8000",
                           "inf"}) {
    EXPECT_THAT(serve.out, HasSubstr(flag));
  }
  const Ended ops = run({"ops", "--help"});
  EXPECT_EQ(ops.status, 0);
  for (const char* flag :
       {"--isa", "--threads", "--dtype", "--ops", "--rows", "--json", "bfloat16"}) {
    EXPECT_THAT(ops.out, HasSubstr(flag));
  }
  EXPECT_THAT(run({"--help"}).out, HasSubstr("ops"));
}

TEST(BenchCommand, RefusesWithAReason) {
  EXPECT_EQ(run({}).status, 2);
  EXPECT_THAT(run({"serve", "--nonsense", "1"}).error, HasSubstr("--nonsense"));
  EXPECT_THAT(run({"serve", "--num-prompts", "many"}).error, HasSubstr("--num-prompts"));
  EXPECT_THAT(run({"serve", "--num-prompts", "0"}).error, HasSubstr("--num-prompts is 0"));
  EXPECT_THAT(run({"serve", "--num_prompts=0"}).error, HasSubstr("--num-prompts is 0"));
  EXPECT_THAT(run({"serve", "--request_rate", "-1"}).error, HasSubstr("--request-rate is -1"));
  EXPECT_THAT(run({"ops", "--isa", "sse9"}).error, HasSubstr("sse9"));
  EXPECT_THAT(run({"ops", "--ops", "add,nonsense"}).error, HasSubstr("no op \"nonsense\""));
  EXPECT_THAT(run({"ops", "--rows", "1,0"}).error, HasSubstr("--rows: 0"));
  EXPECT_THAT(run({"ops", "--dtype", "float16"}).error, HasSubstr("float16"));
  EXPECT_EQ(run({"ops", "--dtype", "float16"}).status, 2);
}

TEST(BenchCommand, MakesACheckpointThatIsReadBackAndOverwritesNothing) {
  namespace fs = std::filesystem;
  const fs::path output = fs::path(testing::TempDir()) / "erne-made-checkpoint";
  fs::remove_all(output);
  const std::vector<std::string> command = {"make-checkpoint", "--model",
                                            ERNE_SOURCE_DIR "/models/erne-tiny", "--output",
                                            output.string()};
  const Ended first = run(command);
  EXPECT_EQ(first.status, 0) << first.error;
  EXPECT_THAT(first.out, HasSubstr("random weights"));
  EXPECT_EQ(fs::file_size(output / "config.json"),
            fs::file_size(ERNE_SOURCE_DIR "/models/erne-tiny/config.json"));
  const auto backend = cpu::make_cpu_backend(cpu::CpuIsa::kReference, 1);
  EXPECT_TRUE(model::load_model(*backend, output, {}).ok());
  for (const char* left : {"config.json", "model.safetensors"}) {
    const Ended again = run(command);
    EXPECT_EQ(again.status, 2);
    EXPECT_THAT(again.error, HasSubstr(left));
    fs::remove(output / left);
  }
  fs::remove_all(output);
}

}  // namespace
}  // namespace erne::apps
