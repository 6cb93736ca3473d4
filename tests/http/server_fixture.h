// A server on a free port before a scripted engine, with the small tokenizer of the goldens.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "raw_client.h"
#include "scripted_engine.h"
#include "server/server.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace erne::server {

inline const std::string kPath = "/v1/completions";
inline const std::string kGood = R"({"prompt":"Once","max_tokens":2})";

class TestServer {
 public:
  explicit TestServer(ServerOptions options = {}, bool with_tokenizer = true,
                      ListenOptions listen = {});
  explicit TestServer(ListenOptions listen) : TestServer({}, true, std::move(listen)) {}
  ~TestServer();

  static const text::Tokenizer& tokenizer();
  static const text::ChatPrompt& chat();
  static std::vector<TokenId> tokens(std::string_view text);

  RawClient client(int receive_buffer_bytes = 0) {
    return RawClient(server->port(), receive_buffer_bytes);
  }
  int port() const { return server->port(); }
  RawClient metrics_client() { return RawClient(server->metrics_port()); }
  // Waits, at most five seconds, until the engine has as many requests.
  bool engine_reaches(int num_active) const;

  ScriptedEngine engine;
  std::unique_ptr<Server> server;
};

}  // namespace erne::server
