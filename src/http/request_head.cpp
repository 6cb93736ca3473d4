#include "http/request_head.h"

#include <algorithm>
#include <array>

namespace erne::http {
namespace {

constexpr size_t kMaxFields = 256;
constexpr size_t kMaxLengthDigits = 18;

bool is_token_character(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F;
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// uri-host [":" port] of RFC 3986, and nothing that hides a second one. May be empty.
bool is_authority(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && std::string_view("-._~%!$&'()*+;=:[]").find(c) != std::string_view::npos);
  });
}

bool starts_ignoring_case(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && equal_ignoring_case(text.substr(0, start.size()), start);
}

std::optional<Refusal> read_path(std::string_view target, RequestHead& out) {
  const size_t query = std::min(target.find('?'), target.size());
  out.path = target.substr(0, query);
  out.query = target.substr(std::min(query + 1, target.size()));
  return std::nullopt;
}

// RFC 9112 section 3.2: a path, a whole URI, "*" of OPTIONS, or the authority of CONNECT (whose
// path stays empty: nothing is there).
std::optional<Refusal> read_target(std::string_view target, RequestHead& out) {
  for (const char c : target)
    if (c <= 0x20 || c >= 0x7F || c == '#') return malformed("a character in the request's target");
  if (out.method == "CONNECT") {
    if (target.find(':') == std::string_view::npos || !is_authority(target))
      return malformed("CONNECT needs a host and a port");
    return std::nullopt;
  }
  if (target.starts_with('/')) return read_path(target, out);
  if (target == "*") {
    if (out.method != "OPTIONS") return malformed("the target * belongs to OPTIONS");
    out.path = target;
    return std::nullopt;
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!starts_ignoring_case(target, scheme)) continue;
    target.remove_prefix(scheme.size());
    const size_t path = std::min(target.find_first_of("/?"), target.size());
    if (path == 0 || !is_authority(target.substr(0, path)))
      return malformed("the host in the request's target");
    target.remove_prefix(path);
    if (auto refusal = read_path(target, out)) return refusal;
    if (out.path.empty()) out.path = out.method == "OPTIONS" && out.query.empty() ? "*" : "/";
    return std::nullopt;
  }
  return malformed("the request's target is neither a path nor an http URI");
}

std::optional<Refusal> read_request_line(std::string_view line, RequestHead& out) {
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return malformed("the first line is not a method, a target and a version");
  out.method = line.substr(0, first);
  if (!is_token(out.method)) return malformed("the method is not a token");
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return malformed("the version");
  out.old_client = version == "HTTP/1.0";
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (target.empty()) return malformed("the request has no target");
  return read_target(target, out);
}

// Fields that may come once: a second one would leave open which of them counts.
constexpr std::array<std::string_view, 8> kSingleFields = {
    "host",   "content-length", "authorization",    "content-type", "content-encoding",
    "origin", "expect",         "transfer-encoding"};

std::optional<Refusal> check_repeated(const Fields& fields) {
  for (const std::string_view name : kSingleFields)
    if (std::count_if(fields.begin(), fields.end(),
                      [&](const auto& field) { return field.first == name; }) > 1)
      return malformed("more than one field " + std::string(name));
  return std::nullopt;
}

const std::string* find(const RequestHead& head, std::string_view name) {
  for (const auto& [known, value] : head.fields)
    if (known == name) return &value;
  return nullptr;
}

std::optional<Refusal> check_host(const RequestHead& head) {
  const std::string* host = find(head, "host");
  if (host == nullptr && head.old_client) return std::nullopt;
  if (host == nullptr) return malformed("HTTP/1.1 needs a field Host");
  if (!is_authority(*host)) return malformed("the field Host is not a host and a port");
  return std::nullopt;
}

std::optional<Refusal> read_content_length(std::string_view text, RequestHead& out) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos)
    return malformed("the field Content-Length is not one number");
  text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
  out.content_length = UINT64_MAX;  // larger than any limit
  if (text.size() <= kMaxLengthDigits) {
    out.content_length = 0;
    for (const char digit : text) out.content_length = out.content_length * 10 + (digit - '0');
  }
  out.framing = out.content_length == 0 ? BodyFraming::kNone : BodyFraming::kLength;
  return std::nullopt;
}

// How long the body is, the one thing two readers of a connection must agree on.
std::optional<Refusal> read_framing(RequestHead& out) {
  const std::string* codings = find(out, "transfer-encoding");
  const std::string* length = find(out, "content-length");
  if (codings == nullptr)
    return length == nullptr ? std::nullopt : read_content_length(*length, out);
  if (out.old_client) return malformed("HTTP/1.0 has no field Transfer-Encoding");
  if (length != nullptr) return malformed("both Transfer-Encoding and Content-Length");
  out.framing = BodyFraming::kChunked;
  if (equal_ignoring_case(*codings, "chunked")) return std::nullopt;
  const auto members = list_members(*codings);
  const auto is_chunked = [](std::string_view name) {
    return equal_ignoring_case(name, "chunked");
  };
  const bool chunked_last_alone = members.size() > 1 && is_chunked(members.back()) &&
                                  std::count_if(members.begin(), members.end(), is_chunked) == 1;
  if (!chunked_last_alone) return malformed("Transfer-Encoding does not end in one chunked");
  return Refusal{501, "unsupported_transfer_coding",
                 "the only Transfer-Encoding understood here is chunked; compress the body with "
                 "Content-Encoding"};
}

std::optional<Refusal> read_coding(RequestHead& out) {
  const std::string* coding = find(out, "content-encoding");
  if (coding == nullptr || coding->empty() || equal_ignoring_case(*coding, "identity"))
    return std::nullopt;
  if (equal_ignoring_case(*coding, "gzip") || equal_ignoring_case(*coding, "x-gzip")) {
    out.coding = ContentCoding::kGzip;
  } else if (equal_ignoring_case(*coding, "deflate")) {
    out.coding = ContentCoding::kDeflate;
  } else {
    return Refusal{415,
                   "unsupported_content_encoding",
                   "the Content-Encoding of a body may be gzip, deflate or identity",
                   {{"Accept-Encoding", "gzip, deflate, identity"}}};
  }
  return std::nullopt;
}

std::optional<Refusal> read_expectation(RequestHead& out) {
  const std::string* expected = find(out, "expect");
  if (expected == nullptr) return std::nullopt;
  if (!equal_ignoring_case(*expected, "100-continue"))
    return Refusal{417, "expectation_failed", "the only expectation met here is 100-continue"};
  out.expects_continue = !out.old_client && out.framing != BodyFraming::kNone;
  return std::nullopt;
}

void read_keep_alive(RequestHead& out) {
  bool close = false, keep = false;
  for (const auto& [name, value] : out.fields) {
    if (name != "connection") continue;
    for (const std::string_view option : list_members(value)) {
      close |= equal_ignoring_case(option, "close");
      keep |= equal_ignoring_case(option, "keep-alive");
    }
  }
  out.keep_alive = !close && (keep || !out.old_client);
}

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_character);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

std::vector<std::string_view> list_members(std::string_view value) {
  std::vector<std::string_view> members;
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    if (const auto member = trimmed(value.substr(0, comma)); !member.empty())
      members.push_back(member);
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  return members;
}

size_t end_of_head(std::string_view input, size_t from) {
  const size_t found = input.find("\r\n\r\n", from > 3 ? from - 3 : 0);
  return found == std::string_view::npos ? found : found + 4;
}

bool is_text_of_a_head(std::string_view input) {
  for (size_t i = 0; i < input.size(); ++i) {
    const char c = input[i];
    if (c == '\r') {
      if (i + 1 < input.size() && input[i + 1] != '\n') return false;
    } else if (c == '\n') {
      if (i == 0 || input[i - 1] != '\r') return false;
    } else if (is_control(c)) {
      return false;
    }
  }
  return true;
}

std::optional<Refusal> parse_field(std::string_view line, Fields& out) {
  if (line.starts_with(' ') || line.starts_with('\t'))
    return malformed("a field is continued on a second line");
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return malformed("a field without a colon");
  if (!is_token(line.substr(0, colon))) return malformed("the name of a field is not a token");
  if (out.size() == kMaxFields)
    return Refusal{
        431, "header_too_large",
        "the request's header has more than the allowed " + std::to_string(kMaxFields) + " fields"};
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), lower);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (std::any_of(value.begin(), value.end(), is_control))
    return malformed("a control character in the field " + name.substr(0, 40));
  out.emplace_back(std::move(name), value);
  return std::nullopt;
}

std::optional<Refusal> parse_request_head(std::string_view text, RequestHead& out) {
  if (!is_text_of_a_head(text) || !text.ends_with("\r\n\r\n"))
    return malformed("a control character, or a line that does not end in CR LF");
  text.remove_suffix(4);  // the end of the last line, and the empty one
  const size_t first = std::min(text.find("\r\n"), text.size());
  if (auto refusal = read_request_line(text.substr(0, first), out)) return refusal;
  while (true) {
    const size_t begin = text.find("\r\n");
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin + 2);
    if (auto refusal = parse_field(text.substr(0, text.find("\r\n")), out.fields)) return refusal;
  }
  read_keep_alive(out);
  if (auto refusal = check_repeated(out.fields)) return refusal;
  if (auto refusal = check_host(out)) return refusal;
  if (auto refusal = read_framing(out)) return refusal;
  if (auto refusal = read_expectation(out)) return refusal;
  return read_coding(out);
}

}  // namespace erne::http
