// The head of a request, read strictly (RFC 9112 sections 2, 3, 5 and 6): what two readers could
// understand differently is refused, because behind a proxy the second of two readings is another
// client's request. Pure functions of bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/exchange.h"
#include "http/refusal.h"

namespace erne::http {

enum class BodyFraming {
  kNone,     // no body
  kLength,   // content_length bytes
  kChunked,  // chunks until an empty one
};
enum class ContentCoding { kIdentity, kGzip, kDeflate };

struct RequestHead {
  std::string method;
  std::string path, query;  // of the target in any of its forms; the path of "*" is "*"
  Fields fields;            // names in lower case, values without the space around them
  bool old_client = false;  // HTTP/1.0, which knows no chunks and no 100 Continue
  BodyFraming framing = BodyFraming::kNone;
  uint64_t content_length = 0;
  ContentCoding coding = ContentCoding::kIdentity;
  bool keep_alive = true;
  bool expects_continue = false;
};

// Where the head that begins `input` ends, behind its empty line. npos: not within `input`. Looks
// from `from` on, where an earlier call on less of the same input had stopped.
size_t end_of_head(std::string_view input, size_t from);
// Whether no byte is one that no head has: control characters, line ends other than CR LF. A last
// CR may yet find its LF.
bool is_text_of_a_head(std::string_view input);

// `text`: up to and with its empty line. `out` has what was understood before a refusal.
std::optional<Refusal> parse_request_head(std::string_view text, RequestHead& out);

// `line` without its end: a field of a head or of a trailer.
std::optional<Refusal> parse_field(std::string_view line, Fields& out);

bool is_token(std::string_view text);                              // RFC 9110 section 5.6.2
bool equal_ignoring_case(std::string_view a, std::string_view b);  // ASCII
// The members of a comma-separated list, without the space around them and without empty ones.
std::vector<std::string_view> list_members(std::string_view value);

}  // namespace erne::http
