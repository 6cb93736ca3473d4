#include "http/body_reader.h"

#include <algorithm>

namespace erne::http {
namespace {

constexpr size_t kMaxLineBytes = size_t{4} << 10;    // of one chunk's size and extensions
constexpr size_t kMaxLinesBytes = size_t{16} << 10;  // of all extensions and trailers of a body
constexpr size_t kMaxSizeDigits = 16;

// -1: no hexadecimal digit.
int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

BodyReader::BodyReader(const RequestHead& head, size_t max_bytes, bool keep)
    : max_bytes_(max_bytes),
      keep_(keep),
      decoder_(keep ? head.coding : ContentCoding::kIdentity, max_bytes) {
  if (head.framing == BodyFraming::kChunked) state_ = State::kChunkSize;
  if (head.framing != BodyFraming::kLength) return;
  state_ = State::kLength;
  left_ = head.content_length;
  if (left_ > max_bytes_) refuse(body_too_large(max_bytes_));
}

size_t BodyReader::read(std::string_view input) {
  const size_t all = input.size();
  while (!done() && !refusal_ && !input.empty()) {
    const bool data = state_ == State::kLength || state_ == State::kChunkData;
    const size_t taken = data ? read_data(input) : read_line(input);
    if (taken == 0) break;
    input.remove_prefix(taken);
  }
  return all - input.size();
}

size_t BodyReader::read_data(std::string_view input) {
  const size_t count = std::min<uint64_t>(left_, input.size());
  received_ += count;
  left_ -= count;
  if (keep_) refusal_ = decoder_.decode(input.substr(0, count), body_);
  if (left_ > 0 || refusal_) return count;
  state_ == State::kLength ? on_end() : void(state_ = State::kChunkEnd);
  return count;
}

// With its end; 0 where that has not come yet.
size_t BodyReader::read_line(std::string_view input) {
  const size_t end = std::min(input.find('\n'), input.size());
  if (end > kMaxLineBytes) {
    refuse({431, "header_too_large", "a chunk's header or a trailer of the body is too long"});
    return 0;
  }
  if (end == input.size()) return 0;
  const std::string_view line = input.substr(0, end + 1);
  if (!line.ends_with("\r\n") || !is_text_of_a_head(line))
    refuse(malformed("a line of the chunked body"));
  else
    on_line(line.substr(0, line.size() - 2));
  return refusal_ ? 0 : line.size();
}

void BodyReader::on_line(std::string_view line) {
  switch (state_) {
    case State::kChunkSize:
      return on_chunk_size(line);
    case State::kChunkEnd:
      if (!line.empty()) return refuse(malformed("a chunk is longer than it says"));
      state_ = State::kChunkSize;
      return;
    default:  // a trailer, which has nothing that a request needs
      if (line.empty()) return on_end();
      line_bytes_ += line.size();
      if (line_bytes_ > kMaxLinesBytes)
        return refuse({431, "header_too_large", "the trailers of the body are too long"});
      Fields ignored;
      if (auto refusal = parse_field(line, ignored)) refuse(std::move(*refusal));
  }
}

void BodyReader::on_chunk_size(std::string_view line) {
  size_t digits = 0;
  uint64_t size = 0;
  for (; digits < line.size() && hex_digit(line[digits]) >= 0; ++digits)
    size = size << 4 | static_cast<uint64_t>(hex_digit(line[digits]));
  const std::string_view extensions = line.substr(digits);
  if (digits == 0 || digits > kMaxSizeDigits || (!extensions.empty() && extensions[0] != ';'))
    return refuse(malformed("the size of a chunk"));
  line_bytes_ += extensions.size();
  if (line_bytes_ > kMaxLinesBytes)
    return refuse({431, "header_too_large", "the extensions of the chunks are too long"});
  if (size > max_bytes_ - received_) return refuse(body_too_large(max_bytes_));
  left_ = size;
  state_ = size == 0 ? State::kTrailer : State::kChunkData;
}

void BodyReader::on_end() {
  if (keep_) refusal_ = decoder_.finish();
  if (!refusal_) state_ = State::kDone;
}

}  // namespace erne::http
