#include "apps/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "apps/backends.h"
#include "apps/options_fixture.h"
#include "base/json.h"
#include "base/temp_folder_fixture.h"
#include "model/load_model.h"

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

TEST(BenchCommand, MeasuresAModelAsItIsServed) {
  const TempFolder folder;
  const std::string json_file = folder.file("model.json");
  const Ended ended = run({"batched", "--sequences", "1,12", "--prompt-len", "20", "--tokens", "3",
                           "--repetitions", "2", "--skip-limits", "--json", json_file, "--model",
                           kTinyModel, "--threads", "1", "--dtype=float32"});
  ASSERT_EQ(ended.status, 0) << ended.error;
  EXPECT_THAT(ended.out, HasSubstr("batched-12x20+3"));
  const auto json = Json::parse(bytes_of_file(json_file));
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->find("threads")->as_int(), 1);
  const Json::Array& cases = json->find("cases")->as_array();
  ASSERT_EQ(cases.size(), 4u);  // two phases each
  const Json& decode = cases[3];
  EXPECT_EQ(decode.find("case")->as_string(), "batched-12x20+3");
  EXPECT_EQ(decode.find("phase")->as_string(), "decode");
  EXPECT_EQ(decode.find("steps")->as_int(), 3);
  EXPECT_EQ(decode.find("tokens")->as_int(), 36);
  EXPECT_EQ(decode.find("samples")->as_array().size(), 2u);
  EXPECT_GT(decode.find("bytes")->as_int(), 0);
  EXPECT_EQ(decode.find("percent_of_limit"), nullptr);
}

TEST(BenchCommand, ComparesWithThePeakOfTheWeightsArithmetic) {
  const auto arithmetic = [](std::vector<std::string> flags) {
    std::vector<std::string> command = {"prefill", "--prompts",     "8",       "--repetitions",
                                        "1",       "--skip-limits", "--model", kTinyModel};
    command.insert(command.end(), flags.begin(), flags.end());
    const std::string out = run(command).out;
    return out.substr(out.find("products in"), out.find("\n") - out.find("products in"));
  };
  EXPECT_EQ(arithmetic({}), "products in bfloat16");
  EXPECT_EQ(arithmetic({"--dtype", "float32"}), "products in float32");
  EXPECT_EQ(arithmetic({"--quantization", "wint8"}), "products in int8");
  EXPECT_EQ(arithmetic({"--quantization", "wint4_g128"}), "products in int4 x int8");
  EXPECT_EQ(arithmetic({"--quantization", "block_wise_fp8"}), "products in bfloat16");
  EXPECT_EQ(arithmetic({"--quantization", "wint4", "--quantized-activations", "none"}),
            "products in float32");
}

TEST(BenchCommand, RefusesACaseOrAFlagByName) {
  const std::string& model = kTinyModel;
  EXPECT_THAT(run({"decode", "--contexts", "-1", "--model", model}).error, HasSubstr("--contexts"));
  EXPECT_THAT(run({"prefill", "--prompts", "0", "--model", model}).error, HasSubstr("--prompts"));
  EXPECT_THAT(run({"batched", "--sequences", "x", "--model", model}).error,
              HasSubstr("--sequences"));
  EXPECT_THAT(run({"decode", "--repetitions", "0"}).error, HasSubstr("--repetitions"));
  EXPECT_THAT(run({"decode", "--model", model, "--threads", "many"}).error, HasSubstr("--threads"));
  EXPECT_THAT(run({"decode", "--model", model, "--nonsense", "1"}).error, HasSubstr("--nonsense"));
  EXPECT_THAT(run({"decode"}).error, HasSubstr("--model is missing"));
  EXPECT_THAT(run({"decode", "--model", model, "--contexts", "999999"}).error,
              HasSubstr("max_position_embeddings"));
  EXPECT_THAT(run({"decode", "--help"}).out, HasSubstr("--max-num-batched-tokens"));
}

TEST(BenchCommand, MakesACheckpointThatIsReadBackAndOverwritesNothing) {
  namespace fs = std::filesystem;
  const TempFolder folder;
  const fs::path output = folder.path() / "made";
  const std::vector<std::string> command = {"make-checkpoint", "--model",
                                            ERNE_SOURCE_DIR "/models/erne-tiny", "--output",
                                            output.string()};
  const Ended first = run(command);
  EXPECT_EQ(first.status, 0) << first.error;
  EXPECT_THAT(first.out, HasSubstr("random weights"));
  EXPECT_EQ(fs::file_size(output / "config.json"),
            fs::file_size(ERNE_SOURCE_DIR "/models/erne-tiny/config.json"));
  const auto chosen = make_backend({"cpu", "reference", 1});
  EXPECT_TRUE(model::load_model(*chosen->backend, output, {}).ok());
  for (const char* left : {"config.json", "model.safetensors"}) {
    const Ended again = run(command);
    EXPECT_EQ(again.status, 2);
    EXPECT_THAT(again.error, HasSubstr(left));
    fs::remove(output / left);
  }
}

}  // namespace
}  // namespace erne::apps
