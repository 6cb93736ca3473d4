// Undoes the Content-Encoding of a request's body piece by piece, so that what unpacks to more than
// is allowed is noticed before it is unpacked. Owns zlib's state; one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/refusal.h"
#include "http/request_head.h"

namespace erne::http {

class ContentDecoder {
 public:
  ContentDecoder(ContentCoding coding, size_t max_bytes);
  ~ContentDecoder();

  // Appends what `input` unpacks to. Refuses what is damaged (400) and what grows beyond the limit
  // (413), with `out` never longer than that.
  std::optional<Refusal> decode(std::string_view input, std::string& out);
  // At the end of the body: refuses one that was cut.
  std::optional<Refusal> finish() const;
  size_t state_bytes() const;  // of memory, besides the output

 private:
  struct Inflater;

  int window_of(char first) const;
  std::optional<Refusal> inflate(std::string_view input, std::string& out);

  const ContentCoding coding_;
  const size_t max_bytes_;
  std::unique_ptr<Inflater> inflater_;  // null: the body is as it was sent
};

}  // namespace erne::http
