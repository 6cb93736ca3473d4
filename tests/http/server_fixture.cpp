#include "server_fixture.h"

#include <chrono>
#include <filesystem>
#include <thread>

namespace erne::server {
namespace {

const std::filesystem::path kGoldens =
    std::filesystem::path(ERNE_SOURCE_DIR) / "tests/goldens/text";

std::string file_text(const char* name) {
  FILE* file = std::fopen((kGoldens / name).c_str(), "rb");
  CHECK(file != nullptr);
  std::string text;
  for (int c; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

}  // namespace

const text::Tokenizer& TestServer::tokenizer() {
  static const auto loaded = text::Tokenizer::load(kGoldens).value();
  return *loaded;
}

const text::ChatPrompt& TestServer::chat() {
  static const auto loaded =
      text::ChatPrompt::create({file_text("text.jinja"), ""}, tokenizer()).value();
  return loaded;
}

std::vector<TokenId> TestServer::tokens(std::string_view text) {
  return tokenizer().encode(text, text::Specials::kParse);
}

TestServer::TestServer(ServerOptions options, bool with_tokenizer, ListenOptions listen)
    : engine({.reply = tokens("A small reply, 42. 你好!")}) {
  listen.host = "127.0.0.1";
  listen.port = 0;
  options.eos_ids = {kEos};
  if (options.vocab_size == 0) options.vocab_size = tokenizer().size();
  options.chat_template = "(a template)";
  server = std::make_unique<Server>(std::move(listen));
  const auto started = server->start();
  CHECK(started.ok());
  server->open(options, engine, with_tokenizer ? &tokenizer() : nullptr,
               with_tokenizer ? &chat() : nullptr);
}

TestServer::~TestServer() {
  server->stop();
}

bool TestServer::engine_reaches(int num_active) const {
  for (int i = 0; i < 12000; ++i) {  // a minute: sanitizers on a busy machine are slow
    if (engine.num_active() == num_active) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace erne::server
