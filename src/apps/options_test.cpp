#include "apps/options.h"

#include <gtest/gtest.h>

#include <limits>

#include "apps/backends.h"
#include "apps/option_table.h"
#include "apps/options_fixture.h"
#include "base/temp_folder_fixture.h"

namespace erne::apps {
namespace {

TEST(Options, BothSpellingsAndBothForms) {
  const auto parsed = parse({"--model", "m", "--max_model_len=512", "--max-num-seqs", "3",
                             "--no-enable-prefix-caching", "--api-key", "a", "--api-key", "b",
                             "--max-decode-slowdown", "inf"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().message;
  EXPECT_EQ(parsed->options.model, "m");
  EXPECT_EQ(parsed->options.max_model_len, 512);
  EXPECT_EQ(parsed->options.max_num_seqs, 3);
  EXPECT_FALSE(parsed->options.enable_prefix_caching);
  EXPECT_EQ(parsed->options.max_decode_slowdown, std::numeric_limits<double>::infinity());
  EXPECT_EQ(parsed->options.api_keys, (Arguments{"a", "b"}));
}

TEST(Options, FlagBeatsFileBeatsEnvironmentBeatsDefault) {
  const TempFolder folder;
  folder.write(
      "options.yaml",
      "max_num_seqs: 5\nswap_space: 0.5\nport: 7000\nenable-chunked-prefill: true\napi-key: [f]\n");
  const std::string path = folder.file("options.yaml");
  const Variables variables{{"FD_DISABLE_CHUNKED_PREFILL", "1"}, {"FD_API_KEY", "x,y"}};
  const Arguments arguments = {"--config", path, "--port", "7001"};
  const auto parsed = parse(arguments, variables);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message;
  EXPECT_EQ(parsed->options.port, 7001);
  EXPECT_EQ(parsed->options.max_num_seqs, 5);
  EXPECT_EQ(parsed->options.swap_space, 0.5);
  EXPECT_TRUE(parsed->options.enable_chunked_prefill);
  EXPECT_EQ(parsed->options.api_keys, Arguments{"f"});
  EXPECT_EQ(parsed->options.block_size, 64);

  const auto environment_only = parse({}, variables);
  EXPECT_FALSE(environment_only->options.enable_chunked_prefill);
  EXPECT_EQ(environment_only->options.api_keys, (Arguments{"x", "y"}));
}

TEST(Options, ErrorsNameTheFlagAndWhatIsAllowed) {
  const std::pair<Arguments, const char*> cases[] = {
      {{"--max-num-seqs", "0"}, "from 1 to 4096"},
      {{"--max-num-seqs", "x"}, "must be a whole number from 1 to 4096"},
      {{"--dtype", "float16"}, "bfloat16 float32"},
      {{"--kv-cache-dtype", "int4"}, "auto bfloat16 float32 int8 fp8"},
      {{"--no-such-flag", "1"}, "--no-such-flag"},
      {{"--port"}, "--port"},
      {{"--gpu-memory-utilization", "nan"}, "from 0.01 to 1"},
      {{"--max-decode-slowdown", "0.5"}, "from 1 to inf"},
      {{"--config", "/nowhere.yaml"}, "/nowhere.yaml"},
  };
  for (const auto& [arguments, expected] : cases) {
    const auto parsed = parse(arguments);
    ASSERT_FALSE(parsed.ok()) << arguments[0];
    EXPECT_NE(parsed.status().message.find(expected), std::string::npos) << parsed.status().message;
  }
}

TEST(Options, WhatIsNotBuiltIsRefusedWithASentence) {
  for (const ForeignFlag& flag : flags_not_built()) {
    const Arguments arguments =
        flag.takes_value ? Arguments{flag.name, "wanted"} : Arguments{flag.name};
    const auto parsed = parse(arguments);
    ASSERT_FALSE(parsed.ok()) << flag.name;
    EXPECT_EQ(parsed.status().code, Code::kUnsupported);
    EXPECT_NE(parsed.status().message.find(flag.sentence), std::string::npos);
  }
  EXPECT_TRUE(parse({"--tensor-parallel-size", "1"}).ok());
  EXPECT_FALSE(parse({"-tp", "2"}).ok());
  EXPECT_TRUE(parse({"-tp", "1"}).ok());
}

TEST(Options, WhatHasNoMeaningHereIsNoted) {
  const auto parsed = parse({"--engine-worker-queue-port", "8182"});
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed->notes.size(), 1u);
  EXPECT_NE(parsed->notes[0].find("one process"), std::string::npos);
}

TEST(Options, EveryInstructionSetMayBeNamed) {
  for (const std::string& name : cpu_isa_names())
    EXPECT_TRUE(parse({"--cpu-isa", name}).ok()) << name;
}

TEST(Options, HelpNamesEveryFlag) {
  const std::string help = options_help();
  for (const auto& flag : flags()) EXPECT_NE(help.find(flag.name), std::string::npos) << flag.name;
}

}  // namespace
}  // namespace erne::apps
