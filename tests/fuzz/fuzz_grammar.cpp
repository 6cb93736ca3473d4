// Grammars that clients send: whatever they say, compiling ends within its bounds, and what was
// compiled can be followed. The first byte is the kind, the last ones choose the tokens of a text.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "grammar/grammar.h"
#include "grammar/letters_fixture.h"

namespace {

using namespace erne::grammar;

constexpr int kKinds = 5, kMaxTokens = 32;

// As an engine would: a token that the mask allows, until the text may only end.
void follow(const Grammar& grammar, const std::string& choices) {
  Matcher matcher(grammar);
  for (int i = 0; i < kMaxTokens; ++i) {
    const auto mask = matcher.mask();
    if (!mask.ok()) return;  // more work than a step may cost
    std::vector<erne::TokenId> allowed;
    for (erne::TokenId id = 0; id < grammar.vocabulary().num_tokens(); ++id)
      if ((mask->words[id / 32] >> (id % 32) & 1) != 0) allowed.push_back(id);
    if (allowed.empty()) {
      CHECK(mask->may_end);
      return;
    }
    const auto choice = static_cast<uint8_t>(choices[i % choices.size()]);
    CHECK(matcher.accept(allowed[choice % allowed.size()]).ok());
    matcher.forced();
    if (choice > 240) CHECK(matcher.rollback(1).ok());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto tokenizer = letters_tokenizer(/*with_more=*/true);
  static const auto vocabulary = Vocabulary::make(*tokenizer, tokenizer->size()).value();
  if (size < 2) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto grammar = Grammar::compile(*vocabulary, {static_cast<Kind>(data[0] % kKinds), text});
  if (grammar.ok()) follow(**grammar, text);
  return 0;
}
