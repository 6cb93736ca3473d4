#include "http/content_decoder.h"

#include <zlib.h>

#include <algorithm>

#include "base/check.h"

namespace erne::http {
namespace {

constexpr size_t kStepBytes = size_t{16} << 10;
constexpr size_t kInflaterBytes = size_t{48} << 10;  // a window of 32 KiB, and tables
constexpr int kGzipWindow = 15 + 16, kZlibWindow = 15, kRawWindow = -15;  // zlib's windowBits

Refusal damaged() {
  return {400, "malformed_request", "the request's body is not what its Content-Encoding says"};
}

}  // namespace

struct ContentDecoder::Inflater {
  z_stream stream{};
  bool open = false;   // inflateInit2() was called
  bool ended = false;  // the stream came to its end; another may follow (gzip members)

  ~Inflater() {
    if (open) inflateEnd(&stream);
  }
  void begin(int window) {
    if (open) inflateEnd(&stream);
    stream = {};
    open = inflateInit2(&stream, window) == Z_OK;
    ended = false;
  }
};

ContentDecoder::ContentDecoder(ContentCoding coding, size_t max_bytes)
    : coding_(coding), max_bytes_(max_bytes) {
  if (coding_ != ContentCoding::kIdentity) inflater_ = std::make_unique<Inflater>();
}

ContentDecoder::~ContentDecoder() = default;

size_t ContentDecoder::state_bytes() const {
  return inflater_ ? kInflaterBytes : 0;
}

std::optional<Refusal> ContentDecoder::decode(std::string_view input, std::string& out) {
  if (inflater_) return inflate(input, out);
  if (input.size() > max_bytes_ - out.size()) return body_too_large(max_bytes_);
  out += input;
  return std::nullopt;
}

// "deflate" is zlib's format, but senders exist that leave its two bytes out: no raw stream begins
// with their method 8.
int ContentDecoder::window_of(char first) const {
  if (coding_ == ContentCoding::kGzip) return kGzipWindow;
  return (first & 0x0F) == 8 ? kZlibWindow : kRawWindow;
}

std::optional<Refusal> ContentDecoder::inflate(std::string_view input, std::string& out) {
  Inflater& inflater = *inflater_;
  z_stream& stream = inflater.stream;
  char step[kStepBytes];
  bool full = false;  // zlib may hold more than it had room for
  while (!input.empty() || full) {
    if (inflater.ended && coding_ != ContentCoding::kGzip) return damaged();
    if (!inflater.open || inflater.ended) inflater.begin(window_of(input.front()));
    if (!inflater.open) return Refusal{503, "overloaded", "no memory to unpack the body"};
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream.avail_in = static_cast<uInt>(input.size());
    // One byte more than is allowed, so that an excess is noticed.
    const size_t room = std::min(kStepBytes, max_bytes_ - out.size() + 1);
    stream.next_out = reinterpret_cast<Bytef*>(step);
    stream.avail_out = static_cast<uInt>(room);
    const int result = ::inflate(&stream, Z_NO_FLUSH);
    const size_t made = room - stream.avail_out, used = input.size() - stream.avail_in;
    if (made > max_bytes_ - out.size()) return body_too_large(max_bytes_);
    out.append(step, made);
    input.remove_prefix(used);
    inflater.ended = result == Z_STREAM_END;
    const bool stuck = result == Z_BUF_ERROR && !input.empty();
    if (stuck || (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR))
      return damaged();
    full = stream.avail_out == 0 && !inflater.ended;
  }
  return std::nullopt;
}

std::optional<Refusal> ContentDecoder::finish() const {
  if (!inflater_ || inflater_->ended || !inflater_->open) return std::nullopt;
  return damaged();
}

}  // namespace erne::http
