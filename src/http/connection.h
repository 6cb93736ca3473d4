// One connection: reads requests one after the other, hands them over, sends their answers. Private
// to http/: it costs whoever includes it Boost.Asio.
#pragma once

#ifdef __SANITIZE_THREAD__
#define BOOST_ASIO_DISABLE_FENCED_BLOCK  // the sanitizer knows no fences; locks order all we share
#endif

#include <boost/asio.hpp>
#include <memory>
#include <string>

#include "http/connection_exchange.h"
#include "http/hub.h"
#include "http/outbox.h"
#include "http/request_reader.h"

namespace erne::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

// What it overrides may be called from any thread, the rest runs on its strand. While the socket is
// open one wait is pending: for bytes, or, once the client has ended its sending side, for the
// connection to break. Pending operations keep the connection alive.
class Connection final : public ResponseSink, public std::enable_shared_from_this<Connection> {
 public:
  // `client` has entered the ledger, and leaves it with this connection.
  Connection(std::shared_ptr<Hub> hub, tcp::socket socket, std::string client);
  ~Connection() override;

  void start();
  // Closes it unless, with `only_idle`, something of a request has come.
  void post_close(bool only_idle);

  void send(std::string_view bytes, bool end) override;
  bool writable() override { return outbox_.writable(); }
  bool draining() const override { return hub_->draining; }

 private:
  enum class Phase {
    kHead,       // waiting for a request or inside its head
    kBody,       // inside its body
    kAnswering,  // bytes that arrive now belong to the next request
    kClosing,    // what arrives is dropped until the client closes, lest a reset eat the answer
  };

  // Receiving
  void wait_for_bytes();
  void on_bytes();
  void on_end_of_input();
  void await_request(milliseconds patience);
  void advance();
  void on_head();
  void on_request();
  void on_half_closed();
  void probe();

  // Answering
  Request request_of_head() const;
  void begin_exchange(bool keep_alive);
  void end_exchange(bool complete);
  void answer_early(Response response);
  void refuse(Refusal refusal);
  void on_answered();

  // Sending
  void flush();
  void write();
  void on_written(error_code error, size_t count);

  void set_timer(milliseconds patience);
  void stop_timer();
  void on_timeout();
  void close();

  const std::shared_ptr<Hub> hub_;
  const std::string client_;
  tcp::socket socket_;
  asio::steady_timer timer_, probe_timer_;
  uint64_t timer_turn_ = 0;
  Phase phase_ = Phase::kHead;
  bool drop_input_ = false;   // the rest of a refused request
  bool input_ended_ = false;  // the client sends no more, but may still be reading
  RequestReader reader_;
  Charge input_charge_;  // for what the reader holds
  Request request_;      // from its head on, until its exchange has it
  std::shared_ptr<ConnectionExchange> exchange_;
  Outbox outbox_;
  std::string sending_;
  size_t sent_bytes_ = 0;
};

}  // namespace erne::http
