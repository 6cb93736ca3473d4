// Compiles the grammars that requests ask for, and keeps those that were asked for last: an
// application asks for the same few again and again. For any threads.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/status.h"
#include "grammar/grammar.h"

namespace erne::grammar {

class GrammarCompiler {
 public:
  // Of the model's ids below `num_tokens`. The tokenizer outlives this and all grammars.
  GrammarCompiler(const text::Tokenizer& tokenizer, int num_tokens)
      : tokenizer_(tokenizer), num_tokens_(num_tokens) {}

  // As Grammar::compile(). The first call makes the vocabulary, which takes half a second for
  // 100,000 tokens.
  Result<std::shared_ptr<const Grammar>> compile(const Source& source);

  static constexpr size_t kMaxKept = 32;
  static constexpr size_t kMaxKeptBytes = size_t{64} << 20;

 private:
  using Kept = std::pair<Source, std::shared_ptr<const Grammar>>;

  Result<const Vocabulary*> vocabulary();
  std::shared_ptr<const Grammar> find(const Source& source);
  void keep(const Source& source, std::shared_ptr<const Grammar> grammar);

  const text::Tokenizer& tokenizer_;
  const int num_tokens_;
  std::mutex making_vocabulary_;
  std::unique_ptr<const Vocabulary> vocabulary_;
  std::mutex mutex_;
  std::list<Kept> kept_;  // the one asked for last comes first
  size_t kept_bytes_ = 0;
};

}  // namespace erne::grammar
