// grammar: what an answer must look like, token by token. A Grammar is compiled from a JSON schema,
// a regular expression, a choice, an EBNF or structural tags, once for all who ask for the same; a
// Matcher follows one text and says which tokens may come next; an AnswerConstraint (the port of
// sample/constraint.h) follows one sequence, whose answer may begin after a thought. The matching
// is llguidance's, in rust/, where size, memory and time are bounded. Vocabulary and Grammar are
// immutable and for any threads; a Matcher is one thread's at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "base/token_id.h"
#include "text/tokenizer.h"

struct erne_vocabulary;
struct erne_grammar;
struct erne_matcher;

namespace erne::grammar {

enum class Kind {
  kJsonSchema,
  kRegex,          // of the whole text, without lookaround and back references
  kChoice,         // a JSON list of texts
  kEbnf,           // name ::= ...; `root` begins (rust/src/grammar/ebnf.rs)
  kStructuralTag,  // as structural_tag.h writes it
};

struct Source {
  Kind kind = Kind::kJsonSchema;
  std::string text;
  bool operator==(const Source&) const = default;
};

// Whether a token is a mark that no text of an answer may become: a special token, or an added one
// that is written like them, such as <think>.
bool is_mark(const text::Tokenizer& tokenizer, TokenId id);

// A model's tokens as grammars see them: what each but the marks adds to a text.
class Vocabulary {
 public:
  // Of the ids below `num_tokens`. The tokenizer outlives it.
  static Result<std::unique_ptr<const Vocabulary>> make(const text::Tokenizer& tokenizer,
                                                        int num_tokens);

  int num_tokens() const { return num_tokens_; }
  size_t num_mask_words() const { return (static_cast<size_t>(num_tokens_) + 31) / 32; }
  const erne_vocabulary* handle() const { return handle_.get(); }
  // A text's tokens where it goes on after others; its last token is left out, since what follows
  // the text may be part of it.
  std::vector<TokenId> tokens_within(std::string_view text) const;

 private:
  struct Free {
    void operator()(erne_vocabulary* handle) const;
  };
  Vocabulary(const text::Tokenizer& tokenizer, int num_tokens)
      : tokenizer_(tokenizer), num_tokens_(num_tokens) {}

  const text::Tokenizer& tokenizer_;
  const int num_tokens_;
  std::unique_ptr<erne_vocabulary, Free> handle_;
};

// The most bytes that compiling one takes, and that it holds then.
inline constexpr size_t kMaxCompilingBytes = size_t{32} << 20;

class Grammar {
 public:
  // kInvalid: what of the source is wrong, and where; kTooLong: it takes too much memory or time;
  // kExhausted: not just now. The vocabulary outlives it.
  static Result<std::shared_ptr<const Grammar>> compile(const Vocabulary& vocabulary,
                                                        const Source& source);

  size_t bytes() const { return bytes_; }  // of memory
  const Vocabulary& vocabulary() const { return vocabulary_; }
  const erne_grammar* handle() const { return handle_.get(); }

 private:
  struct Free {
    void operator()(erne_grammar* handle) const;
  };
  explicit Grammar(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  const Vocabulary& vocabulary_;
  std::unique_ptr<erne_grammar, Free> handle_;
  size_t bytes_ = 0;
};

// One text on its way through a grammar. After a failure every call fails.
class Matcher {
 public:
  explicit Matcher(const Grammar& grammar);

  // Bit t % 32 of word t / 32 stands for token t: whether it may come next. Whether the text may
  // end here.
  struct Mask {
    std::span<const uint32_t> words;
    bool may_end = false;
  };
  // Computed at the first call after the text has changed; valid until it changes again. kInternal:
  // the grammar takes more work here than a step may cost.
  Result<Mask> mask();
  Result<void> accept(TokenId token);
  Result<void> rollback(int num_tokens);
  // How the text goes on as far as the grammar leaves no choice.
  std::string forced();

 private:
  struct Free {
    void operator()(erne_matcher* handle) const;
  };
  std::unique_ptr<erne_matcher, Free> handle_;
  std::vector<uint32_t> words_;
  bool may_end_ = false;
  bool has_mask_ = false;
};

}  // namespace erne::grammar
