// Token ids as a model may emit them, and stop strings as a client may send them: streaming in any
// pieces gives what decoding and matching the whole gives.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/utf8.h"
#include "text/detokenizer.h"
#include "text/stop_matcher.h"
#include "text/text_goldens.h"

namespace {

using namespace erne::text;
using erne::TokenId;

std::string streamed(const std::vector<TokenId>& ids, bool skip_special) {
  Detokenizer detokenizer(golden_tokenizer(), skip_special);
  std::string text;
  for (const TokenId id : ids) {
    const std::string_view piece = detokenizer.push(id);
    CHECK(erne::is_valid_utf8(piece));
    text += piece;
  }
  return text += detokenizer.finish();
}

std::string matched(std::string_view text, const std::vector<std::string>& stops, size_t cut) {
  StopMatcher matcher(stops, /*include_stop=*/false);
  std::string sent;
  for (size_t at = 0; at < text.size(); at += cut) sent += matcher.push(text.substr(at, cut));
  return sent += matcher.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::vector<TokenId> ids;
  for (size_t i = 0; i + 1 < size; i += 2) ids.push_back((data[i] << 8 | data[i + 1]) % 1010);
  for (const bool skip_special : {false, true})
    CHECK(streamed(ids, skip_special) == golden_tokenizer().decode(ids, skip_special));

  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> stops;
  for (size_t i = 0; i < 3 && size > 4; ++i) {
    const size_t at = data[i] % size;
    stops.emplace_back(text.substr(at, 1 + data[i + 1] % 8));
  }
  const std::string whole = matched(text, stops, size);
  for (const size_t cut : {1, 2, 3, 7}) CHECK(matched(text, stops, cut) == whole);
  for (const std::string& stop : stops) CHECK(whole.find(stop) == whole.npos);
  return 0;
}
