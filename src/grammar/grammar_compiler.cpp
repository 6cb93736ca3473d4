#include "grammar/grammar_compiler.h"

#include <algorithm>

namespace erne::grammar {
namespace {

size_t bytes_of(const Source& source, const Grammar& grammar) {
  return source.text.size() + grammar.bytes();
}

}  // namespace

Result<const Vocabulary*> GrammarCompiler::vocabulary() {
  const std::lock_guard lock(making_vocabulary_);
  if (vocabulary_ == nullptr) vocabulary_ = TRY(Vocabulary::make(tokenizer_, num_tokens_));
  return vocabulary_.get();
}

Result<std::shared_ptr<const Grammar>> GrammarCompiler::compile(const Source& source) {
  if (auto grammar = find(source)) return grammar;
  std::shared_ptr<const Grammar> grammar = TRY(Grammar::compile(*TRY(vocabulary()), source));
  keep(source, grammar);
  return grammar;
}

std::shared_ptr<const Grammar> GrammarCompiler::find(const Source& source) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(kept_, source, &Kept::first);
  if (found == kept_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found);
  return found->second;
}

void GrammarCompiler::keep(const Source& source, std::shared_ptr<const Grammar> grammar) {
  const std::lock_guard lock(mutex_);
  kept_bytes_ += bytes_of(source, *grammar);
  kept_.emplace_front(source, std::move(grammar));
  while (kept_.size() > kMaxKept || (kept_bytes_ > kMaxKeptBytes && kept_.size() > 1)) {
    kept_bytes_ -= bytes_of(kept_.back().first, *kept_.back().second);
    kept_.pop_back();
  }
}

}  // namespace erne::grammar
