#include "grammar/grammar.h"

#include <erne_rs.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace erne::grammar {
namespace {

std::string take(erne_text text) {
  std::string taken(text.data, text.length);
  erne_text_free(text);
  return taken;
}

Result<void> result_of(erne_outcome outcome, erne_text text) {
  std::string why = take(text);
  switch (outcome) {
    case ERNE_DONE:
      return {};
    case ERNE_LIMIT:
      return Status{Code::kTooLong, std::move(why)};
    case ERNE_EXHAUSTED:
      return Status{Code::kExhausted, std::move(why)};
    default:
      return invalid(std::move(why));
  }
}

// While a text is matched, whatever fails is nobody's mistake but ours or the grammar's size.
Result<void> while_matching(erne_outcome outcome, erne_text text) {
  Result<void> result = result_of(outcome, text);
  if (result.ok()) return result;
  return Status{Code::kInternal, fmt::format("the answer's grammar cannot be followed further: {}",
                                             result.status().message)};
}

erne_grammar_kind kind_of(Kind kind) {
  switch (kind) {
    case Kind::kJsonSchema:
      return ERNE_JSON_SCHEMA;
    case Kind::kRegex:
      return ERNE_REGEX;
    case Kind::kChoice:
      return ERNE_CHOICE;
    case Kind::kEbnf:
      return ERNE_EBNF;
    case Kind::kStructuralTag:
      return ERNE_STRUCTURAL_TAG;
  }
  CHECK(!"every Kind has its case");
  return ERNE_JSON_SCHEMA;
}

}  // namespace

bool is_mark(const text::Tokenizer& tokenizer, TokenId id) {
  if (tokenizer.is_special(id)) return true;
  const std::string_view bytes = tokenizer.token_bytes(id);
  if (bytes.size() < 3 || !bytes.starts_with('<') || !bytes.ends_with('>')) return false;
  const auto added = tokenizer.added_token_at(bytes);
  return added && added->id == id;
}

void Vocabulary::Free::operator()(erne_vocabulary* handle) const {
  erne_vocabulary_free(handle);
}
void Grammar::Free::operator()(erne_grammar* handle) const {
  erne_grammar_free(handle);
}
void Matcher::Free::operator()(erne_matcher* handle) const {
  erne_matcher_free(handle);
}

Result<std::unique_ptr<const Vocabulary>> Vocabulary::make(const text::Tokenizer& tokenizer,
                                                           int num_tokens) {
  std::string bytes;
  std::vector<int32_t> lengths;
  lengths.reserve(static_cast<size_t>(num_tokens));
  for (TokenId id = 0; id < num_tokens; ++id) {
    if (is_mark(tokenizer, id)) {
      lengths.push_back(-1);
      continue;
    }
    const std::string_view token = tokenizer.token_bytes(id);
    bytes += token;
    lengths.push_back(static_cast<int32_t>(token.size()));
  }
  std::unique_ptr<Vocabulary> vocabulary(new Vocabulary(tokenizer, num_tokens));
  erne_vocabulary* handle = nullptr;
  erne_text error{};
  const auto outcome =
      erne_vocabulary_new(bytes.data(), lengths.data(), lengths.size(), &handle, &error);
  TRY(result_of(outcome, error));
  vocabulary->handle_.reset(handle);
  return std::unique_ptr<const Vocabulary>(std::move(vocabulary));
}

std::vector<TokenId> Vocabulary::tokens_within(std::string_view text) const {
  std::vector<TokenId> tokens =
      tokenizer_.encode(text, text::Specials::kAsText, /*at_start=*/false);
  if (!tokens.empty()) tokens.pop_back();
  return tokens;
}

Result<std::shared_ptr<const Grammar>> Grammar::compile(const Vocabulary& vocabulary,
                                                        const Source& source) {
  std::shared_ptr<Grammar> grammar(new Grammar(vocabulary));
  erne_grammar* handle = nullptr;
  erne_text error{};
  const auto outcome =
      erne_grammar_compile(vocabulary.handle(), kind_of(source.kind), source.text.data(),
                           source.text.size(), &handle, &grammar->bytes_, &error);
  TRY(result_of(outcome, error));
  grammar->handle_.reset(handle);
  return std::shared_ptr<const Grammar>(std::move(grammar));
}

Matcher::Matcher(const Grammar& grammar) : words_(grammar.vocabulary().num_mask_words()) {
  erne_matcher* handle = nullptr;
  erne_text error{};
  // Fails only where there is no memory at all.
  CHECK_EQ(erne_matcher_new(grammar.handle(), &handle, &error), ERNE_DONE);
  erne_text_free(error);
  handle_.reset(handle);
}

Result<Matcher::Mask> Matcher::mask() {
  if (!has_mask_) {
    erne_text error{};
    const auto outcome =
        erne_matcher_mask(handle_.get(), words_.data(), words_.size(), &may_end_, &error);
    TRY(while_matching(outcome, error));
    has_mask_ = true;
  }
  return Mask{words_, may_end_};
}

Result<void> Matcher::accept(TokenId token) {
  has_mask_ = false;
  const auto id = static_cast<uint32_t>(token);
  erne_text error{};
  return while_matching(erne_matcher_accept(handle_.get(), &id, 1, &error), error);
}

Result<void> Matcher::rollback(int num_tokens) {
  if (num_tokens == 0) return {};
  has_mask_ = false;
  erne_text error{};
  return while_matching(
      erne_matcher_rollback(handle_.get(), static_cast<size_t>(num_tokens), &error), error);
}

std::string Matcher::forced() {
  erne_text text{};
  const auto outcome = erne_matcher_forced(handle_.get(), &text);
  std::string forced = take(text);
  return outcome == ERNE_DONE ? forced : std::string();
}

}  // namespace erne::grammar
