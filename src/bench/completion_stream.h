// One streamed completion, read as it arrives: when tokens came, how many, and how it ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "bench/sse_parser.h"

namespace erne::bench {

struct TokenEvent {
  int64_t time_us;
  int64_t num_tokens;  // at least 1; more where the server sent several at once
};

struct RequestOutcome {
  int64_t start_us = 0, end_us = 0;  // on the load generator's clock, as the events' times
  std::vector<TokenEvent> events;
  // What the server's usage says. Without a usage, each event counts as one output token.
  int64_t input_tokens = 0, cached_tokens = 0, output_tokens = 0;
  std::string finish_reason;
  std::string failure;  // why the request failed; empty: it finished

  bool ok() const { return failure.empty(); }
};

// Reads the reply of POST /v1/completions or /v1/chat/completions with "stream": true. Failed is
// every reply that is not a 200, reports an error, breaks off before [DONE], or never carries a
// token.
class CompletionStream {
 public:
  explicit CompletionStream(int64_t start_us) { outcome_.start_us = start_us; }

  // The next bytes of the reply's body. False: what follows cannot matter any more, hang up.
  bool feed(int http_status, std::string_view bytes, int64_t now_us);
  // `transport_error` is empty where the reply was read to its end.
  RequestOutcome finish(int http_status, std::string_view transport_error, int64_t now_us);

 private:
  void take_event(std::string_view data, int64_t now_us);
  void take_usage(const Json& usage);
  void fail(std::string reason);
  std::string why_failed(int http_status, std::string_view transport_error) const;

  SseParser parser_;
  RequestOutcome outcome_;
  int64_t counted_tokens_ = 0;    // by the events so far
  int64_t reported_tokens_ = -1;  // by the latest usage; -1: there was none
  bool done_ = false;             // [DONE] was seen
  std::string error_body_;        // of a reply other than 200, its first bytes
};

}  // namespace erne::bench
