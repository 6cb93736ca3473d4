// tokenizer.json: whatever the bytes are, loading gives a Status or a tokenizer that keeps its
// word.
#include <cstddef>
#include <cstdint>

#include "base/log.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace erne::text;
  erne::set_log_level(erne::LogLevel::kError);
  TokenizerFiles files;
  files.json.assign(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = Tokenizer::from_files(files);
  if (!tokenizer.ok()) return 0;
  const Tokenizer& t = **tokenizer;
  for (const char* text : {"ab a  abb 42", "<s> \xE4\xB8\xAD\xC3\xA9\n\n  x<s>", "\xFF aaaaaaaa"}) {
    for (const auto specials : {Specials::kParse, Specials::kAsText}) {
      const auto ids = t.encode(text, specials);
      for (const erne::TokenId id : ids) CHECK(id >= 0 && id < t.size());
      t.decode(ids, true);
    }
  }
  return 0;
}
