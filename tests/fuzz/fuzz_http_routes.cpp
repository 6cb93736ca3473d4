// Whatever bytes reach either port: read as requests, routed and handled like a server does it, by
// the real handlers before a scripted engine. First byte: the port, whether there is a key, and how
// the bytes are cut. Each request is answered exactly once, and where they are cut changes nothing.
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

#include "../http/scripted_engine.h"
#include "http/cors.h"
#include "http/request_reader.h"
#include "server/routes.h"
#include "text/text_goldens.h"

namespace {

using namespace erne;
using namespace erne::server;
using Step = http::RequestReader::Step;

constexpr size_t kMaxHeaderBytes = 4096, kMaxBodyBytes = 20'000;

struct Served {
  ScriptedEngine engine{{.reply = {5, 6, 7}}};
  const text::Tokenizer& tokenizer = text::golden_tokenizer();
  text::ChatPrompt chat =
      text::ChatPrompt::create({text::golden_text("text.jinja"), ""}, tokenizer).value();
  std::shared_ptr<ServerContext> context =
      std::make_shared<ServerContext>(options(), engine, &tokenizer, &chat);
  std::vector<std::string> no_keys, one_key = {"k"};

  static ServerOptions options() {
    ServerOptions options;
    options.vocab_size = 1004;
    options.max_model_len = 64;
    options.num_text_threads = 1;
    options.eos_ids = {kEos};
    return options;
  }
};

// Waits for its answer, which ends exactly once.
class FuzzedExchange final : public http::Exchange {
 public:
  explicit FuzzedExchange(http::Request request) : request_(std::move(request)) {}

  const http::Request& request() const override { return request_; }
  std::string take_body() override { return std::exchange(request_.body, {}); }
  void respond(http::Response response) override {
    CHECK(response.status >= 200 && response.status < 600);
    CHECK(!std::exchange(begun_, true));
    end();
  }
  void begin_stream(http::Response) override { CHECK(!std::exchange(begun_, true)); }
  void write(std::string) override { CHECK(begun_); }
  bool writable() const override { return true; }
  void finish() override {
    CHECK(begun_);
    end();
  }
  void listen(std::shared_ptr<http::ExchangeListener> listener) override {
    std::lock_guard lock(mutex_);
    if (!ended_) listener_ = std::move(listener);
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_; });
    listener_.reset();
  }

 private:
  void end() {
    std::lock_guard lock(mutex_);
    CHECK(!std::exchange(ended_, true));
    changed_.notify_all();
  }

  http::Request request_;
  std::shared_ptr<http::ExchangeListener> listener_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool begun_ = false, ended_ = false;
};

http::Request request_of(const http::RequestHead& head) {
  return {.method = head.method,
          .path = head.path,
          .query = head.query,
          .fields = head.fields,
          .id = "fuzzed",
          .client = "here"};
}

// What was read, as text. With a desk every request is answered.
std::string read_all(std::string_view bytes, size_t piece, const Desk* desk) {
  static const http::CorsPolicy cors{.origins = {"*"}};
  http::RequestReader reader(kMaxHeaderBytes, kMaxBodyBytes);
  std::string seen;
  while (true) {
    switch (reader.next()) {
      case Step::kNeedsMore:
        if (bytes.empty()) return seen;
        reader.add(bytes.substr(0, piece));
        bytes.remove_prefix(std::min(piece, bytes.size()));
        break;
      case Step::kHead: {
        const http::Request head = request_of(reader.head());
        seen += "[" + head.method + "|" + head.path + "|" + head.query + "|";
        bool wants_body = true;
        if (desk != nullptr) {
          http::cors_headers(cors, head);
          if (http::answer_preflight(cors, head)) return seen;
          const http::Admission admission = admit(*desk, head);
          if (admission.refusal && reader.head().framing != http::BodyFraming::kNone) return seen;
          wants_body = admission.wants_body && !admission.refusal;
        }
        reader.begin_body(wants_body);
        break;
      }
      case Step::kRequest: {
        http::Request request = request_of(reader.head());
        request.body = reader.take_body();
        CHECK_LE(request.body.size(), kMaxBodyBytes);
        seen += request.body + "]";
        reader.restart();
        if (desk == nullptr) break;
        const auto exchange = std::make_shared<FuzzedExchange>(std::move(request));
        dispatch(*desk, exchange);
        exchange->wait();
        break;
      }
      case Step::kRefused:
        CHECK_GE(reader.refusal().status, 400);
        return seen + std::to_string(reader.refusal().status);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Served served;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  CHECK(read_all(bytes, bytes.size() + 1, nullptr) == read_all(bytes, 1 + data[0] / 8, nullptr));
  const Desk desk{data[0] & 1 ? Port::kMetrics : Port::kMain,
                  (data[0] & 8) == 0,  // the web page
                  data[0] & 2 ? served.one_key : served.no_keys,
                  data[0] & 4 ? nullptr : served.context,
                  {}};
  read_all(bytes, bytes.size() + 1, &desk);
  return 0;
}
