#include "bench/serve_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <mutex>

#include "base/temp_folder_fixture.h"
#include "bench/scripted_server.h"

namespace erne::bench {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

std::string reply(const std::string& json) {
  return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(json.size()) +
         "\r\n\r\n" + json;
}

// A server with one model of 1,000 tokens that answers every completion with `max_tokens` tokens.
class OneModelServer {
 public:
  explicit OneModelServer(std::string model_root = "")
      : server_([this, model_root](const auto& request, const auto& write) {
          if (request.head.starts_with("GET /v1/models ")) {
            return (void)write(reply(R"({"data":[{"id":"tiny","root":")" + model_root + "\"}]}"));
          }
          if (request.head.starts_with("GET /tokenizer_info ")) {
            return (void)write(reply(R"({"vocab_size":1000})"));
          }
          complete(Json::parse(request.body).value(), write);
        }) {}

  std::string url() const { return server_.url(); }
  Json last_body() {
    const std::lock_guard lock(mutex_);
    return last_body_;
  }

 private:
  void complete(const Json& body, const ScriptedServer::Write& write) {
    write(ScriptedServer::kStreamHead);
    const int64_t max_tokens = body.find("max_tokens")->as_int();
    for (int64_t i = 1; i <= max_tokens; ++i) {
      write("data: {\"choices\":[{\"text\":\"x\",\"finish_reason\":" +
            std::string(i == max_tokens ? "\"length\"" : "null") +
            "}],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":" + std::to_string(i) +
            "}}\n\n");
    }
    write("data: [DONE]\n\n");
    const std::lock_guard lock(mutex_);
    last_body_ = body;
  }

  std::mutex mutex_;
  Json last_body_;
  ScriptedServer server_;
};

ServeBenchOptions small_load(const std::string& url) {
  ServeBenchOptions options;
  options.base_url = url;
  options.num_prompts = 6;
  options.max_concurrency = 3;
  options.input_len = 12;
  options.output_len = 4;
  options.ignore_eos = true;
  options.command = "erne bench serve";
  return options;
}

TEST(ServeBench, MeasuresAndWritesItsFiles) {
  const TempFolder folder;
  folder.write("model.safetensors", std::string(100'000, 'w'));
  OneModelServer server(folder.path());
  ServeBenchOptions options = small_load(server.url());
  options.save_result = folder.file("out.json");
  options.plot = folder.file("out.svg");
  const auto result = run_serve_bench(options, SteadyClock());
  ASSERT_TRUE(result.ok()) << result.status().message;
  EXPECT_TRUE(result->any_completed);
  EXPECT_THAT(result->text, HasSubstr("6 completed, 0 failed"));
  EXPECT_THAT(result->text, HasSubstr("measured / floor"));

  const auto json = Json::parse(bytes_of_file(options.save_result));
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->dump(), result->json.dump());
  EXPECT_EQ(json->find("server")->find("model")->as_string(), "tiny");
  const Json& figures = *json->find("result");
  EXPECT_EQ(figures.find("input_tokens")->as_int(), 6 * 12);
  EXPECT_EQ(figures.find("output_tokens")->as_int(), 6 * 4);
  EXPECT_EQ(figures.find("finish_reasons")->find("length")->as_int(), 6);
  EXPECT_EQ(figures.find("floor")->find("weight_bytes")->as_int(), 100'000);
  EXPECT_THAT(bytes_of_file(options.plot), HasSubstr("</svg>"));
}

TEST(ServeBench, SendsWhatTheFlagsSay) {
  OneModelServer server;
  ServeBenchOptions options = small_load(server.url());
  options.num_prompts = 1;
  options.seed = 7;
  options.temperature = 0.5;
  ASSERT_TRUE(run_serve_bench(options, SteadyClock()).ok());
  Json body = server.last_body();
  EXPECT_EQ(body.find("model")->as_string(), "tiny");
  EXPECT_EQ(body.find("prompt")->as_array().size(), 12u);
  EXPECT_EQ(body.find("max_tokens")->as_int(), 4);
  EXPECT_EQ(body.find("temperature")->as_double(), 0.5);
  EXPECT_EQ(body.find("seed")->as_int(), 7);
  EXPECT_TRUE(body.find("stream")->as_bool());
  EXPECT_TRUE(body.find("ignore_eos")->as_bool());
  EXPECT_TRUE(body.find("stream_options")->find("continuous_usage_stats")->as_bool());

  options.endpoint = "/v1/chat/completions";
  options.ignore_eos = false;
  options.response_format = R"({"type":"json_object"})";
  ASSERT_TRUE(run_serve_bench(options, SteadyClock()).ok());
  body = server.last_body();
  EXPECT_EQ(body.find("prompt"), nullptr);
  EXPECT_EQ(body.find("ignore_eos"), nullptr);
  EXPECT_EQ(body.find("response_format")->find("type")->as_string(), "json_object");
  options.response_format = "{";
  EXPECT_FALSE(run_serve_bench(options, SteadyClock()).ok());
  EXPECT_EQ(body.find("messages")->as_array()[0].find("content")->as_string().size(), 12u);
}

TEST(ServeBench, HasNoFloorWithoutWeights) {
  OneModelServer server("/does/not/exist");
  const auto result = run_serve_bench(small_load(server.url()), SteadyClock());
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->json.find("result")->find("floor")->is_null());
  EXPECT_THAT(result->text, HasSubstr("floor       not known"));
}

TEST(ServeBench, SaysWhatIsWrongWithTheServer) {
  OneModelServer server;
  ServeBenchOptions options = small_load(server.url());
  options.served_model_name = "other";
  EXPECT_THAT(run_serve_bench(options, SteadyClock()).status().message, HasSubstr("no such model"));

  options = small_load(server.url());
  options.save_result = "/does/not/exist/out.json";
  EXPECT_THAT(run_serve_bench(options, SteadyClock()).status().message, HasSubstr("--save-result"));

  ScriptedServer broken([](const auto&, const auto& write) { write("HTTP/1.1 503 Busy\r\n\r\n"); });
  EXPECT_THAT(run_serve_bench(small_load(broken.url()), SteadyClock()).status().message,
              HasSubstr("/v1/models: HTTP 503"));
}

TEST(ServeBench, RandomPromptsNeedAVocabulary) {
  ScriptedServer mute([](const auto& request, const auto& write) {
    const bool models = request.head.starts_with("GET /v1/models ");
    write(reply(models ? R"({"data":[{"id":"m"}]})" : R"({"eos_token":"</s>"})"));
  });
  EXPECT_EQ(run_serve_bench(small_load(mute.url()), SteadyClock()).status().param, "vocab_size");
}

TEST(ServeBench, RefusesArgumentsByName) {
  const auto refused = [](auto change) {
    ServeBenchOptions options;
    change(options);
    const auto checked = check(options);
    return checked.ok() ? "accepted" : checked.status().param;
  };
  EXPECT_EQ(refused([](auto&) {}), "accepted");
  EXPECT_EQ(refused([](auto& o) { o.base_url = "127.0.0.1"; }), "base_url");
  EXPECT_EQ(refused([](auto& o) { o.base_url = "ftp://x"; }), "base_url");
  EXPECT_EQ(refused([](auto& o) { o.endpoint = "/v1/x"; }), "endpoint");
  EXPECT_EQ(refused([](auto& o) { o.num_prompts = 0; }), "num-prompts");
  EXPECT_EQ(refused([](auto& o) { o.max_concurrency = -1; }), "max-concurrency");
  EXPECT_EQ(refused([](auto& o) { o.input_len = 0; }), "input-len");
  EXPECT_EQ(refused([](auto& o) { o.output_len = 0; }), "output-len");
  EXPECT_EQ(refused([](auto& o) { o.request_rate = 0; }), "request_rate");
  EXPECT_EQ(refused([](auto& o) { o.request_rate = std::nan(""); }), "request_rate");
  EXPECT_EQ(refused([](auto& o) { o.temperature = -1; }), "temperature");
  EXPECT_EQ(refused([](auto& o) { o.vocab_size = 5; }), "vocab-size");
  EXPECT_EQ(refused([](auto& o) { o.timeout_s = 0; }), "timeout");
  EXPECT_EQ(refused([](auto& o) { o.seed = -1; }), "seed");
  EXPECT_EQ(refused([](auto& o) { o.weight_bytes = 1, o.model_dir = "x"; }), "weight_bytes");
}

TEST(ServeBench, AFloorNeedsTheServerHere) {
  // Refused before anything is sent: nothing answers at this address of the documentation network.
  ServeBenchOptions options;
  options.base_url = "http://192.0.2.1:9";
  options.weight_bytes = 1;
  EXPECT_EQ(check(options).status().param, "weight_bytes");
}

TEST(SafetensorsBytes, SumsTheFolder) {
  const TempFolder folder;
  EXPECT_THAT(safetensors_bytes(folder.path()).status().message, HasSubstr("no *.safetensors"));
  folder.write("a.safetensors", "12345");
  folder.write("b.safetensors", "123");
  folder.write("c.bin", "1");
  EXPECT_EQ(*safetensors_bytes(folder.path()), 8);
  EXPECT_FALSE(safetensors_bytes(folder.file("missing")).ok());
}

}  // namespace
}  // namespace erne::bench
