#include "http/request_reader.h"

#include <algorithm>

namespace erne::http {
namespace {

// Before a request (RFC 9112 section 2.2): some clients end a body with a line of its own.
constexpr int kMaxEmptyLines = 8;

}  // namespace

RequestReader::Step RequestReader::next() {
  if (refusal_) return Step::kRefused;
  if (!has_head_) return read_head();
  if (!body_) return Step::kHead;
  return read_body();
}

RequestReader::Step RequestReader::read_head() {
  if (!skip_empty_lines()) return refuse(malformed("empty lines in the place of a request"));
  const size_t end = end_of_head(input_, num_scanned_);
  const size_t size = std::min(end, input_.size());
  // A CR that was the last byte so far has to be followed by its LF.
  const size_t unseen = num_scanned_ - (num_scanned_ > 0 && input_[num_scanned_ - 1] == '\r');
  if (!is_text_of_a_head(std::string_view(input_).substr(unseen, size - unseen)))
    return refuse(malformed("a control character, or a line that does not end in CR LF"));
  if (size > max_header_bytes_) return refuse(header_too_large(max_header_bytes_));
  num_scanned_ = size;
  if (end == std::string::npos) return Step::kNeedsMore;
  auto refusal = parse_request_head(std::string_view(input_).substr(0, end), head_);
  input_.erase(0, end);
  if (refusal) return refuse(std::move(*refusal));
  has_head_ = true;
  return Step::kHead;
}

bool RequestReader::skip_empty_lines() {
  size_t count = 0;
  while (std::string_view(input_).substr(count).starts_with("\r\n")) {
    if (++num_empty_lines_ > kMaxEmptyLines) return false;
    count += 2;
  }
  input_.erase(0, count);
  if (count > 0) num_scanned_ = 0;
  return true;
}

RequestReader::Step RequestReader::read_body() {
  input_.erase(0, body_->read(input_));
  if (body_->refusal()) return refuse(*body_->refusal());
  return body_->done() ? Step::kRequest : Step::kNeedsMore;
}

RequestReader::Step RequestReader::refuse(Refusal refusal) {
  refusal_ = std::move(refusal);
  input_ = {};
  return Step::kRefused;
}

void RequestReader::restart() {
  if (input_.empty()) input_ = {};  // gives its memory back
  num_scanned_ = 0;
  num_empty_lines_ = 0;
  has_head_ = false;
  head_ = {};
  body_.reset();
}

}  // namespace erne::http
