#include "text/detokenizer.h"

#include <algorithm>

#include "base/utf8.h"

namespace erne::text {

std::string_view Detokenizer::push(TokenId id) {
  text_.clear();
  if (is_left_out(id)) return text_;
  if (tokenizer_.is_byte(id)) {
    pending_ += tokenizer_.token_bytes(id);
    take_pending(/*at_end=*/false);
  } else if (const std::string_view bytes = tokenizer_.token_bytes(id); !bytes.empty()) {
    take_pending(/*at_end=*/true);
    text_ += bytes;
  }
  return text_;
}

std::string_view Detokenizer::finish() {
  text_.clear();
  take_pending(/*at_end=*/true);
  return text_;
}

bool Detokenizer::is_left_out(TokenId id) const {
  return skip_special_ && tokenizer_.is_special(id) &&
         std::find(shown_.begin(), shown_.end(), id) == shown_.end();
}

void Detokenizer::take_pending(bool at_end) {
  size_t taken = 0;
  while (taken < pending_.size()) {
    const std::string_view rest = std::string_view(pending_).substr(taken);
    const Utf8Step step = utf8_step(rest);
    if (step.incomplete && !at_end) break;
    text_ += step.valid ? rest.substr(0, step.length) : kReplacementCharacter;
    taken += step.length;
  }
  pending_.erase(0, taken);
}

}  // namespace erne::text
