// Server-sent events (WHATWG HTML, section 9.2), as far as completions use them: the data of each
// event. Other fields and comments are skipped, as the standard asks.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace erne::bench {

class SseParser {
 public:
  explicit SseParser(size_t max_event_bytes = size_t{4} << 20)
      : max_event_bytes_(max_event_bytes) {}

  // Takes the next bytes of the stream, cut anywhere, and calls `on_data` once for each event they
  // complete. Refuses an event larger than the limit; nothing may be fed after that.
  Result<void> feed(std::string_view bytes, const std::function<void(std::string_view)>& on_data);

 private:
  void end_line(const std::function<void(std::string_view)>& on_data);

  size_t max_event_bytes_;
  std::string line_;                    // of the line not yet ended
  std::string data_;                    // of the event not yet ended
  bool has_data_ = false;               // a data field was seen, even if empty
  bool after_carriage_return_ = false;  // a line feed now belongs to the line just ended
};

}  // namespace erne::bench
