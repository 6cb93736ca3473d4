// The body of a request: finds its end by its length or its chunks (RFC 9112 sections 6 and 7),
// decodes its content, and never holds more than is allowed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/content_decoder.h"
#include "http/refusal.h"
#include "http/request_head.h"

namespace erne::http {

class BodyReader {
 public:
  // `keep`: whether the content is wanted; else it is measured and dropped.
  BodyReader(const RequestHead& head, size_t max_bytes, bool keep);

  // Takes what it can from the front of `input`: the number of bytes, which is less than all where
  // the body ends, is refused, or has a line that is not complete yet.
  size_t read(std::string_view input);
  bool done() const { return state_ == State::kDone; }
  const std::optional<Refusal>& refusal() const { return refusal_; }

  size_t held_bytes() const { return body_.capacity() + decoder_.state_bytes(); }
  std::string take() { return std::move(body_); }

 private:
  enum class State { kLength, kChunkSize, kChunkData, kChunkEnd, kTrailer, kDone };

  size_t read_data(std::string_view input);
  size_t read_line(std::string_view input);
  void on_line(std::string_view line);
  void on_chunk_size(std::string_view line);
  void on_end();
  void refuse(Refusal refusal) { refusal_ = std::move(refusal); }

  const size_t max_bytes_;
  const bool keep_;
  State state_ = State::kDone;
  uint64_t left_ = 0;      // of the length, or of the chunk
  size_t received_ = 0;    // bytes of content as sent
  size_t line_bytes_ = 0;  // of chunk extensions and trailers
  ContentDecoder decoder_;
  std::string body_;
  std::optional<Refusal> refusal_;
};

}  // namespace erne::http
