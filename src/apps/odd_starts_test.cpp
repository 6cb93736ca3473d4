// Starts that are wrong in every way that occurred to us: each is refused, at once, with a sentence
// that names the flag and what is allowed. tests/starts does some of them with the binary.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "apps/loaded_model.h"
#include "apps/option_table.h"
#include "apps/options_fixture.h"
#include "base/log.h"
#include "base/temp_folder_fixture.h"

namespace erne::apps {
namespace {

// Names what it is about, and has no control characters and no page of text.
void expect_refused(const Result<ParsedOptions>& parsed, const std::string& what,
                    const Arguments& named) {
  ASSERT_FALSE(parsed.ok()) << what;
  const std::string& message = parsed.status().message;
  for (const std::string& part : named)
    EXPECT_NE(message.find(part), std::string::npos) << what << ": " << message;
  EXPECT_LT(message.size(), 700u) << what;
}

struct OnLine {
  Arguments arguments;
  Arguments named;
};

const OnLine kOnLine[] = {
    // Ranges and spellings of numbers.
    {{"--port", "70000"}, {"--port", "65535"}},
    {{"--port", "-1"}, {"--port", "from 0 to 65535"}},
    {{"--port", "abc"}, {"--port", "a whole number"}},
    {{"--port", ""}, {"--port"}},
    {{"--port", "80 "}, {"--port"}},
    {{"--port", " 80"}, {"--port"}},
    {{"--port", "0x50"}, {"--port"}},
    {{"--port", "8e3"}, {"--port"}},
    {{"--port", "80.0"}, {"--port"}},
    {{"--port", "+80"}, {"--port"}},
    {{"--port", "٨٠"}, {"--port"}},
    {{"--port", "99999999999999999999999"}, {"--port"}},
    {{"--port", "80", "--port", "81"}, {"--port", "one value"}},
    {{"--port=80", "--port=80"}, {"--port"}},
    {{"--metrics-port", "65536"}, {"--metrics-port"}},
    {{"--port", "81", "--metrics-port", "81"}, {"--metrics-port", "--port"}},
    {{"--metrics-port", "8000"}, {"--metrics-port"}},
    {{"--threads", "-1"}, {"--threads", "from 0 to 1024"}},
    {{"--threads", "1025"}, {"--threads"}},
    {{"--threads", "1e999"}, {"--threads"}},
    {{"--workers", "0"}, {"--workers", "from 1"}},
    {{"--workers", "1000000"}, {"--workers"}},
    {{"--max-num-seqs", "0"}, {"--max-num-seqs", "from 1 to 4096"}},
    {{"--max-num-seqs", "4097"}, {"--max-num-seqs"}},
    {{"--max_num_seqs", "-5"}, {"--max-num-seqs"}},
    {{"--max-num-seqs=NaN"}, {"--max-num-seqs"}},
    {{"--max-num-batched-tokens", "-1"}, {"--max-num-batched-tokens"}},
    {{"--max-num-batched-tokens", "1048577"}, {"--max-num-batched-tokens"}},
    {{"--max-model-len", "-1"}, {"--max-model-len"}},
    {{"--max-model-len", "99999999999"}, {"--max-model-len"}},
    {{"--block-size", "0"}, {"--block-size"}},
    {{"--block-size", "8192"}, {"--block-size"}},
    {{"--num-gpu-blocks-override", "-3"}, {"--num-gpu-blocks-override"}},
    {{"--gpu-memory-utilization", "0"}, {"--gpu-memory-utilization", "0.01"}},
    {{"--gpu-memory-utilization", "1.01"}, {"--gpu-memory-utilization"}},
    {{"--gpu-memory-utilization", "nan"}, {"--gpu-memory-utilization"}},
    {{"--gpu-memory-utilization", "-nan"}, {"--gpu-memory-utilization"}},
    {{"--gpu-memory-utilization", "inf"}, {"--gpu-memory-utilization"}},
    {{"--gpu-memory-utilization", "1e999"}, {"--gpu-memory-utilization"}},
    {{"--gpu-memory-utilization", "90%"}, {"--gpu-memory-utilization"}},
    {{"--gpu-memory-utilization", "0,9"}, {"--gpu-memory-utilization"}},
    {{"--kv-cache-ratio", "2"}, {"--kv-cache-ratio"}},
    {{"--max-decode-slowdown", "0"}, {"--max-decode-slowdown", "from 1"}},
    {{"--max-decode-slowdown", "nan"}, {"--max-decode-slowdown"}},
    {{"--max-decode-slowdown", "-inf"}, {"--max-decode-slowdown"}},
    {{"--max-logprobs", "-1"}, {"--max-logprobs"}},
    {{"--max-logprobs", "1001"}, {"--max-logprobs"}},
    {{"--max-concurrency", "0"}, {"--max-concurrency"}},
    {{"--timeout-graceful-shutdown", "-1"}, {"--timeout-graceful-shutdown"}},
    {{"--timeout-graceful-shutdown", "1e9"}, {"--timeout-graceful-shutdown"}},
    {{"--seed", "-1"}, {"--seed"}},
    {{"--seed", "18446744073709551615"}, {"--seed"}},
    // Texts.
    {{"--host", ""}, {"--host", "empty"}},
    {{"--host="}, {"--host", "empty"}},
    {{"--model", ""}, {"--model", "empty"}},
    {{"--tokenizer", ""}, {"--tokenizer", "empty"}},
    {{"--chat-template", ""}, {"--chat-template", "empty"}},
    {{"--weight-cache", ""}, {"--weight-cache", "empty"}},
    {{"--served-model-name", ""}, {"--served-model-name", "empty"}},
    {{"--served-model-name", "a", "--served-model-name", "b"}, {"--served-model-name"}},
    {{"--model", std::string("a\0b", 3)}, {"--model", "zero bytes"}},
    {{"--dtype", "float16"}, {"--dtype", "bfloat16 float32"}},
    {{"--dtype", "BFLOAT16"}, {"--dtype", "bfloat16 float32"}},
    {{"--dtype", "bfloat16 "}, {"--dtype"}},
    {{"--dtype", ""}, {"--dtype"}},
    {{"--kv-cache-dtype", "int4"}, {"--kv-cache-dtype", "int8"}},
    {{"--load-choices", "random"}, {"--load-choices", "dummy"}},
    {{"--quantized-activations", "some"}, {"--quantized-activations", "none"}},
    {{"--cpu-isa", "sse2"}, {"--cpu-isa", "avx2"}},
    {{"--api-key", ""}, {"--api-key", "empty"}},
    {{"--api-key", "a", "--api-key", ""}, {"--api-key"}},
    {{"--api-key", "two words"}, {"--api-key", "spaces"}},
    {{"--api-key", "line\n"}, {"--api-key"}},
    {{"--api-key", "ключ"}, {"--api-key", "ASCII"}},
    {{"--api-key", "\t"}, {"--api-key"}},
    // Switches.
    {{"--enable-prefix-caching=maybe"}, {"--enable-prefix-caching", "true or false"}},
    {{"--enable-prefix-caching="}, {"--enable-prefix-caching", "true or false"}},
    {{"--enable-prefix-caching", "false"}, {"'false'", "no flag"}},
    {{"--no-enable-prefix-caching=true"}, {"--no-enable-prefix-caching", "no value"}},
    {{"--enable-chunked-prefill", "--no-enable-chunked-prefill"}, {"--enable-chunked-prefill"}},
    {{"--no-port"}, {"--no-port"}},
    {{"--no-model", "x"}, {"--no-model"}},
    // What is no flag, or lacks its value.
    {{"--no-such-flag", "1"}, {"--no-such-flag", "--help"}},
    {{"--Port", "80"}, {"--Port"}},
    {{"-p", "80"}, {"'-p'", "--help"}},
    {{"serve"}, {"'serve'"}},
    {{""}, {"no flag"}},
    {{"--"}, {"--"}},
    {{"--=1"}, {"--"}},
    {{"-"}, {"'-'"}},
    {{"--port"}, {"--port", "needs a value"}},
    {{"--model", "--port", "80"}, {"--model", "needs a value"}},
    {{"--api-key", "--port"}, {"--api-key", "needs a value"}},
    {{"--config"}, {"--config", "needs a value"}},
    {{"--config", ""}, {"--config"}},
    {{"--config", "/nowhere/at.yaml"}, {"--config", "/nowhere/at.yaml"}},
    {{"--config", "/"}, {"--config", "a folder"}},
    {{"--config", "/dev/zero"}, {"--config", "a device"}},
    {{"--config", "/dev/null"}, {"--config", "a device"}},
    {{"--config", "/proc/self/mem"}, {"--config"}},
    {{"--config", "a", "--config", "b"}, {"--config", "one file"}},
    {{"--config", std::string(10'000, 'x')}, {"--config"}},
    {{std::string(100'000, '-')}, {"--"}},
    {{"--" + std::string(100'000, 'x'), "1"}, {"--xxx"}},
    {{"--port", std::string(100'000, '9')}, {"--port"}},
    // FastDeploy's that are not built.
    {{"--tensor-parallel-size", "2"}, {"--tensor-parallel-size", "use 1"}},
    {{"-tp", "two"}, {"--tensor-parallel-size"}},
    {{"-tp"}, {"--tensor-parallel-size", "needs a value"}},
    {{"--enable-expert-parallel"}, {"--enable-expert-parallel"}},
    {{"--speculative-config", "{}"}, {"--speculative-config"}},
    {{"--tool-parser-plugin", "x.py"}, {"--tool-parser-plugin"}},
    {{"--runner", "pooling"}, {"--runner", "auto generate"}},
    {{"--kvcache-storage-backend", "file"}, {"--kvcache-storage-backend"}},
    // Flags that exclude each other.
    {{"--swap-space", "4", "--no-enable-prefix-caching"}, {"--swap-space", "leave one"}},
};

TEST(OddStarts, OnTheCommandLine) {
  for (const OnLine& start : kOnLine)
    expect_refused(parse(start.arguments), ::testing::PrintToString(start.arguments).substr(0, 200),
                   start.named);
}

// Every flag with a number, in every table, at every number that is none of its own.
TEST(OddStarts, EveryNumberIsChecked) {
  int num_flags = 0;
  for (const auto& row : flags()) {
    const bool is_whole = std::holds_alternative<int64_t ServeOptions::*>(row.field);
    if (!is_whole && !std::holds_alternative<double ServeOptions::*>(row.field)) continue;
    ++num_flags;
    for (const char* text : {"", " ", "-", "abc", "1 ", " 1", "1,2", "0x10", "1e999", "-1e999",
                             "nan", "-99999999999999999999", "-7", "1.5.5", "--1", "1\n", "½"})
      expect_refused(parse({std::string(row.name) + "=" + text}), text, {row.name});
    if (is_whole)
      for (const char* text : {"1.5", "1e1", "inf", "99999999999999999999"})
        expect_refused(parse({std::string(row.name) + "=" + text}), text, {row.name});
  }
  EXPECT_GE(num_flags, 15);
}

struct InFile {
  std::string yaml;
  Arguments named;
};

const InFile kInFile[] = {
    {"port: 70000", {"--port", "65535"}},
    {"port: [8000]", {"--port", "one value"}},
    {"port: {a: 1}", {"--port", "a map"}},
    {"port: 80\nport: 81", {"--port", "twice"}},
    {"max-num-seqs: 3\nmax_num_seqs: 4", {"--max-num-seqs", "twice"}},
    {"port: 'abc'", {"--port", "a whole number"}},
    {"port: 80.0", {"--port"}},
    {"port: 0o17", {"--port"}},
    {"port: true", {"--port"}},
    {"port: ''", {"--port"}},
    {"enable-prefix-caching: maybe", {"--enable-prefix-caching", "true or false"}},
    {"enable-prefix-caching: [true]", {"--enable-prefix-caching"}},
    {"no-such-flag: 1", {"--no-such-flag", "--help"}},
    {"no-enable-prefix-caching: true", {"--no-enable-prefix-caching"}},
    {"--port: 80", {"----port"}},
    {"config: other.yaml", {"--config"}},
    {"help: true", {"--help"}},
    {"- port\n- 80", {"a map"}},
    {"just text", {"a map"}},
    {"42", {"a map"}},
    {"[[1]]: 80", {"flag names"}},
    {"? {a: b}\n: 80", {"flag names"}},
    {"~: 80", {"flag names"}},
    {"<<: {port: 80}", {"--<<"}},
    {"port: 80\n---\nport: 81", {"2 documents"}},
    {"port: 80\n...\n---\nport: 81", {"documents"}},
    {"port: [80", {"--config"}},
    {"port: \"80", {"--config"}},
    {"port: *nobody", {"--config"}},
    {"\tport: 80", {"--config"}},
    {"port: 80: 81", {"--config"}},
    {"%YAML 9.9.9\n---\nport: 80", {"--config"}},
    {"api-key: []", {"--api-key", "empty list"}},
    {"api-key: ['']", {"--api-key", "empty"}},
    {"api-key: ''", {"--api-key", "empty"}},
    {"api-key: [a, ~]", {"--api-key", "null"}},
    {"api-key: [a, [b]]", {"--api-key", "a list"}},
    {"api-key: [{a: b}]", {"--api-key", "a map"}},
    {"api-key: |\n  secret\n", {"--api-key", "control"}},
    {"api-key: two words", {"--api-key", "spaces"}},
    {"served-model-name: ''", {"--served-model-name", "empty"}},
    {"served-model-name: [a, b]", {"--served-model-name", "one value"}},
    {"model: \"a\\0b\"", {"--model", "zero bytes"}},
    {"dtype: float16", {"--dtype", "bfloat16 float32"}},
    {"tensor-parallel-size: 2", {"--tensor-parallel-size"}},
    {"speculative-config: {method: mtp}", {"--speculative-config"}},
    {"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]", {"--a"}},
    {"port: &p [*p]", {"--port"}},
};

TEST(OddStarts, InTheConfigurationFile) {
  const TempFolder folder;
  const std::string path = folder.file("options.yaml");
  for (const InFile& start : kInFile) {
    folder.write("options.yaml", start.yaml);
    const auto parsed = parse({"--config", path});
    expect_refused(parsed, start.yaml, start.named);
    expect_refused(parsed, start.yaml, {"--config " + path});
  }
}

TEST(OddStarts, HostileFilesTakeNoTime) {
  const TempFolder folder;
  const std::string path = folder.file("options.yaml");
  const auto refused = [&](const std::string& yaml, const char* named) {
    folder.write("options.yaml", yaml);
    expect_refused(parse({"--config", path}), yaml.substr(0, 60), {named});
  };
  std::string laughs = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i) {
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) laughs += (k ? ",*a" : "*a") + std::to_string(i - 1);
    laughs += "]\n";
  }
  refused(laughs, "--a0");
  refused("api-key: " + laughs.substr(4), "--a1");
  refused("port: " + std::string(30'000, '['), "--config");
  refused("port: " + std::string(30'000, '[') + std::string(30'000, ']'), "--config");
  refused(std::string(30'000, '{'), "--config");
  refused("port: " + std::string(30'000, '-') + " 1", "--port");
  refused(std::string(60'000, '\n') + "port: x", "--port");
  refused(std::string(1 << 20, '#'), "65536 bytes");
  refused("port: 80" + std::string(1 << 20, ' '), "65536 bytes");
  refused(std::string(60'000, '\0'), "--config");
  refused(std::string("\xff\xfep\0o\0r\0t\0:\0 \0x\0", 16), "--port");
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  expect_refused(parse({"--config", folder.file("pipe")}), "pipe", {"--config", "a pipe"});
  ASSERT_EQ(symlink("loop", folder.file("loop").c_str()), 0);
  expect_refused(parse({"--config", folder.file("loop")}), "loop", {"--config"});
}

TEST(OddStarts, NullInTheFileIsNotGiven) {
  const TempFolder folder;
  const ServeOptions defaults;
  for (const char* null : {"", "~", "null", "Null", "NULL"}) {
    std::string yaml;
    for (const auto& row : flags()) yaml += std::string(row.name).substr(2) + ": " + null + "\n";
    folder.write("options.yaml", yaml);
    const auto parsed = parse({"--config", folder.file("options.yaml")});
    ASSERT_TRUE(parsed.ok()) << parsed.status().message;
    EXPECT_EQ(parsed->options.api_keys, defaults.api_keys);
    EXPECT_EQ(parsed->options.served_model_name, "");
    EXPECT_EQ(parsed->options.weight_cache, "");
    EXPECT_EQ(parsed->options.port, defaults.port);
    // What the environment says stays.
    const auto keys = parse({"--config", folder.file("options.yaml")}, {{"FD_API_KEY", "k"}});
    EXPECT_EQ(keys->options.api_keys, Arguments{"k"});
  }
  folder.write("options.yaml", "# nothing\n");
  EXPECT_TRUE(parse({"--config", folder.file("options.yaml")}).ok());
  folder.write("options.yaml", "served-model-name: 'null'\n");
  EXPECT_EQ(parse({"--config", folder.file("options.yaml")})->options.served_model_name, "null");
}

TEST(OddStarts, InTheEnvironment) {
  for (const char* keys : {"", " ", ",", " , ,", "\t", ",,,"})
    expect_refused(parse({}, {{"FD_API_KEY", keys}}), keys, {"FD_API_KEY", "--api-key", "empty"});
  for (const char* keys : {"a b", "a,b c", "ключ", "a\x01"})
    expect_refused(parse({}, {{"FD_API_KEY", keys}}), keys, {"FD_API_KEY", "--api-key"});
  EXPECT_EQ(parse({}, {{"FD_API_KEY", " a , b,,c\n"}})->options.api_keys,
            (Arguments{"a", "b", "c"}));
  for (const char* text : {"", "2", "maybe", "-1", " 1"})
    expect_refused(parse({}, {{"FD_DISABLE_CHUNKED_PREFILL", text}}), text,
                   {"FD_DISABLE_CHUNKED_PREFILL", "true or false"});
  for (const auto& [text, enabled] : std::map<std::string, bool>{{"1", false}, {"0", true}})
    EXPECT_EQ(parse({}, {{"FD_DISABLE_CHUNKED_PREFILL", text}})->options.enable_chunked_prefill,
              enabled);
}

struct Load {
  Arguments arguments;
  Arguments named;
};

// What only the loading finds out.
TEST(OddStarts, ThatLoadingRefuses) {
  const TempFolder folder;
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  folder.write("large", std::string(2 << 20, 'x'));
  folder.write("broken", "{% for %}");
  folder.write("file", "x");
  std::filesystem::create_directory(folder.file("empty"));
  const std::string tiny = kTinyModel;
  const Load starts[] = {
      {{}, {"--model is missing"}},
      {{"--model", "/nowhere"}, {"--model", "no such folder"}},
      {{"--model", folder.file("file")}, {"--model", "no folder"}},
      {{"--model", folder.file("pipe")}, {"--model", "no folder"}},
      {{"--model", "/dev/null"}, {"--model", "no folder"}},
      {{"--model", std::string(5000, 'x')}, {"--model"}},
      {{"--model", folder.file("empty")}, {"config.json"}},
      {{"--model", tiny, "--quantization", "int3"}, {"--quantization", "wint4"}},
      {{"--model", tiny, "--quantization", "{}"}, {"--quantization"}},
      {{"--model", tiny, "--tokenizer", "/nowhere"}, {"--tokenizer"}},
      {{"--model", tiny, "--tokenizer", folder.file("empty")}, {"--tokenizer"}},
      {{"--model", tiny, "--chat-template", "/"}, {"--chat-template", "a folder"}},
      {{"--model", tiny, "--chat-template", "/dev/zero"}, {"--chat-template", "a device"}},
      {{"--model", tiny, "--chat-template", "/nowhere"}, {"--chat-template", "/nowhere"}},
      {{"--model", tiny, "--chat-template", folder.file("pipe")}, {"--chat-template", "a pipe"}},
      {{"--model", tiny, "--chat-template", folder.file("large")},
       {"--chat-template", "262144 bytes"}},
      {{"--model", tiny, "--chat-template", folder.file("broken")}, {"template"}},
      {{"--model", tiny, "--threads", "1024"}, {"--threads", "CPUs"}},
      {{"--model", tiny, "--block-size", "20"}, {"--block-size", "multiple"}},
      {{"--model", tiny, "--max-model-len", "16777216"},
       {"--max-model-len", "max_position_embeddings"}},
      {{"--model", tiny, "--max-num-batched-tokens", "7"}, {"--max-num-batched-tokens"}},
      {{"--model", tiny, "--num-gpu-blocks-override", "1073741824"},
       {"--num-gpu-blocks-override", "up to"}},
      {{"--model", tiny, "--num-gpu-blocks-override", "1"}, {"--num-gpu-blocks-override"}},
      {{"--model", tiny, "--swap-space", "1e6"}, {"--swap-space", "GiB", "free"}},
      {{"--model", tiny, "--swap-space", "1e-9"}, {"--swap-space", "one block"}},
  };
  set_log_level(LogLevel::kError);
  for (const Load& start : starts) {
    const auto parsed = parse(start.arguments);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message;
    const auto loaded = load_model(parsed->options);
    const std::string what = ::testing::PrintToString(start.arguments).substr(0, 300);
    ASSERT_FALSE(loaded.ok()) << what;
    for (const std::string& part : start.named)
      EXPECT_NE(loaded.status().message.find(part), std::string::npos)
          << what << ": " << loaded.status().message;
  }
  set_log_level(LogLevel::kInfo);
}

}  // namespace
}  // namespace erne::apps
