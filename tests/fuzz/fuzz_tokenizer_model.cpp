// tokenizer.model: whatever the bytes are, loading gives a Status or a tokenizer that keeps its
// word.
#include <cstddef>
#include <cstdint>

#include "text/text_goldens.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace erne::text;
  using erne::TokenId;
  TokenizerFiles files;
  files.model.assign(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = Tokenizer::from_files(files);
  if (!tokenizer.ok()) return 0;
  const Tokenizer& t = **tokenizer;
  for (const char* text : {"the quick 42", "<s>中é<mask:1>\n\n  x", "\xFF\x00 aaaaaaaa"}) {
    for (const auto specials : {Specials::kParse, Specials::kAsText}) {
      const auto ids = t.encode(text, specials);
      for (const TokenId id : ids) CHECK(id >= 0 && id < t.size());
      t.decode(ids, true);
    }
  }
  return 0;
}
