// server: OpenAI's API over HTTP in front of an engine. Parses and checks requests, turns chats and
// texts into tokens and tokens into text, streams replies, refuses what is wrong or too much with a
// reason. Sees the engine through EngineClient only, and knows no model and no device.
//
// Threads: I/O threads own the connections (http/server.h), text threads make tokens of requests
// and delivery threads make replies of tokens (work_pool.h), woken by the engine's thread. A
// request's life here: routes.cpp -> handle_generation.cpp -> generation_request.h -> prepare.h ->
// generation.h -> reply.h.
#pragma once

#include <chrono>
#include <memory>

#include "base/status.h"
#include "engine/engine_client.h"
#include "server/server_options.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace erne::server {

class Server {
 public:
  explicit Server(ListenOptions options);
  ~Server();  // stops

  // Listens: probes are answered, everything else is 503 until open() says what to serve. The
  // Status says why it cannot, such as a port in use. Call once.
  Result<void> start();
  int port() const;
  int metrics_port() const;  // where there is one

  // Serves from now on. All outlive the server. Without a tokenizer prompts and replies are token
  // ids; without a chat prompt there are no chats. Call once.
  void open(ServerOptions options, engine::EngineClient& engine, const text::Tokenizer* tokenizer,
            const text::ChatPrompt* chat);

  // Takes no new requests and waits until those in flight are answered (true), the time is over, or
  // stop() is called from another thread.
  bool drain(std::chrono::milliseconds limit);
  // Closes everything at once; requests in flight are cancelled in the engine.
  void stop();

 private:
  struct Front;

  const std::unique_ptr<Front> front_;  // outlives the listeners
  std::unique_ptr<http::Server> http_;
  std::unique_ptr<http::Server> metrics_http_;  // null where metrics have no port of their own
};

}  // namespace erne::server
