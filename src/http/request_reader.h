// Turns the bytes of a connection into requests, one after the other. No sockets and no time: the
// connection feeds it, and so do the tests and the fuzzer.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/body_reader.h"
#include "http/refusal.h"
#include "http/request_head.h"

namespace erne::http {

class RequestReader {
 public:
  enum class Step {
    kNeedsMore,  // bytes
    kHead,       // the head has been read; begin_body() goes on
    kRequest,    // the whole request has been read; restart() goes on
    kRefused,    // what came is no request, and where the next one begins is not known
  };

  RequestReader(size_t max_header_bytes, size_t max_body_bytes)
      : max_header_bytes_(max_header_bytes), max_body_bytes_(max_body_bytes) {}

  void add(std::string_view bytes) { input_ += bytes; }
  Step next();
  void begin_body(bool keep) { body_.emplace(head_, max_body_bytes_, keep); }
  // For the next request, whose beginning may have come already.
  void restart();

  const RequestHead& head() const { return head_; }  // after kHead whole, after kRefused in parts
  std::string take_body() { return body_ ? body_->take() : std::string(); }
  const Refusal& refusal() const { return *refusal_; }

  bool is_idle() const { return !has_head_ && input_.empty(); }  // nothing of a request has come
  bool in_body() const { return body_.has_value() && !body_->done(); }
  size_t num_pending() const { return input_.size(); }  // bytes that were not read yet
  size_t held_bytes() const { return input_.capacity() + (body_ ? body_->held_bytes() : 0); }

 private:
  Step read_head();
  Step read_body();
  Step refuse(Refusal refusal);
  bool skip_empty_lines();

  const size_t max_header_bytes_, max_body_bytes_;
  std::string input_;       // came, but was not read yet
  size_t num_scanned_ = 0;  // bytes of it that do not end a head
  int num_empty_lines_ = 0;
  bool has_head_ = false;
  RequestHead head_;
  std::optional<BodyReader> body_;
  std::optional<Refusal> refusal_;
};

}  // namespace erne::http
