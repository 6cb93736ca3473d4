// One HTTP request and the way to answer it, in plain types: what answers requests sees HTTP
// through this header only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace erne::http {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method = {};  // as sent: "GET", "POST", ...
  std::string path = {};    // as sent, up to the '?'; "*" of OPTIONS *
  std::string query = {};   // after the '?'
  Fields fields = {};       // of the header, names in lower case
  std::string id = {};      // the client's X-Request-Id, or one made for it
  std::string client =
      {};  // whom limits per client count: an IPv4 address, an IPv6 network of 64 bits
  std::string body = {};  // decoded

  // The first field of that name (in lower case), or nothing.
  std::string_view field(std::string_view name) const {
    for (const auto& [known, value] : fields)
      if (known == name) return value;
    return {};
  }
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  Fields headers = {};  // besides those about the framing
};

// What the maker of a response is told while it is being made. Called on an I/O thread: return
// soon.
class ExchangeListener {
 public:
  virtual ~ExchangeListener() = default;
  virtual void on_gone() = 0;      // the client left before the response was complete; at most once
  virtual void on_writable() = 0;  // writable() has become true again
};

// An exchange is answered exactly once: by respond(), or by begin_stream(), any number of write()s
// and finish(). One thread at a time may answer. Once the client is gone every answer is dropped.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const Request& request() const = 0;
  // The request's body, from now on the caller's: neither kept here nor counted against the
  // transport's limits any more.
  virtual std::string take_body() = 0;

  virtual void respond(Response response) = 0;

  virtual void begin_stream(Response head) = 0;
  virtual void write(std::string bytes) = 0;
  // False while more is unsent than a slow reader may make us hold. Nothing is lost by writing all
  // the same; a producer of unbounded output waits for on_writable().
  virtual bool writable() const = 0;
  virtual void finish() = 0;

  // The exchange keeps the listener until it is complete or the client is gone. If the client is
  // gone already, on_gone() is called from here.
  virtual void listen(std::shared_ptr<ExchangeListener> listener) = 0;
};

}  // namespace erne::http
