#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/log.h"
#include "base/utf8.h"
#include "text/added_tokens.h"
#include "text/detokenizer.h"
#include "text/sentencepiece_file.h"
#include "text/sentencepiece_normalizer.h"
#include "text/tokenizer_files.h"
#include "text/tokenizer_json.h"
#include "text/vocabulary.h"

namespace erne::text {
namespace {

constexpr size_t kNoBound = std::string::npos;
// The added tokens' texts, all together; ERNIE's have 40 KB.
constexpr size_t kMaxAddedBytes = 4 << 20;

std::string with_spaces(std::string_view piece) {
  std::string text;
  for (size_t i = 0; i < piece.size();) {
    const bool is_space = piece.substr(i).starts_with(kSpaceMark);
    text += is_space ? ' ' : piece[i];
    i += is_space ? kSpaceMark.size() : 1;
  }
  return text;
}

// An added token that no file flags: the family's ordinary ones are the bare digits, its special
// ones are all written in angle brackets.
bool looks_special(std::string_view content) {
  return content.starts_with('<') && content.ends_with('>');
}

Result<Vocabulary> read_vocabulary(const TokenizerFiles& files) {
  return files.json.empty() ? read_sentencepiece_model(files.model)
                            : read_tokenizer_json(files.json);
}

}  // namespace

Status too_many_tokens(size_t max_tokens) {
  return {Code::kTooLong, fmt::format("the text has more than {} tokens", max_tokens)};
}

struct Tokenizer::State {
  enum class Kind : uint8_t { kNone, kText, kByte, kAdded };
  struct Entry {
    Kind kind = Kind::kNone;
    bool special = false;
    std::string bytes;  // what the token adds to a text
    TokenFlags flags;
  };

  Vocabulary vocabulary;
  bool is_json = false;        // the vocabulary is tokenizer.json's
  std::vector<Entry> entries;  // by id
  AddedTokens contents;        // of all added tokens
  AddedTokens added;           // looked for in the text as it is
  AddedTokens normalized;      // and in the normalised one
  std::unordered_map<std::string, TokenId> added_id;
  TokenizerConfig config;
  size_t added_bytes = 0;
  size_t longest_token = 1;  // bytes of text; kNoBound: one may stand for any number

  void take_pieces();
  void take_added_tokens();
  void take_special_names();
  void take_remaining_specials();
  void measure();
  const Entry* entry(TokenId id) const;
  std::optional<TokenId> find(std::string_view piece) const;
  void add(TokenId id, const std::string& content, bool special, const TokenFlags& flags);
};

void Tokenizer::State::take_pieces() {
  entries.resize(vocabulary.pieces.size());
  for (size_t id = 0; id < entries.size(); ++id) {
    const Vocabulary::Piece& piece = vocabulary.pieces[id];
    Entry& entry = entries[id];
    if (piece.kind == Vocabulary::Kind::kNone) continue;
    const bool is_byte = piece.kind == Vocabulary::Kind::kByte;
    entry.kind = is_byte ? Kind::kByte : Kind::kText;
    entry.bytes = is_byte ? std::string(1, static_cast<char>(byte_of_piece(piece.text)))
                          : with_spaces(piece.text);
    entry.special =
        piece.kind == Vocabulary::Kind::kControl || piece.kind == Vocabulary::Kind::kUnknown;
  }
}

void Tokenizer::State::add(TokenId id, const std::string& content, bool special,
                           const TokenFlags& flags) {
  if (static_cast<size_t>(id) >= entries.size()) entries.resize(static_cast<size_t>(id) + 1);
  entries[static_cast<size_t>(id)] = {Kind::kAdded, special, content, flags};
  added_id[content] = id;
  const bool is_normalized = flags.normalized && is_json;
  const std::string text = is_normalized ? vocabulary.normalize(content) : content;
  added_bytes += content.size() + text.size();
  if (added_bytes > kMaxAddedBytes) return;  // the file is refused
  contents.insert(content, id, special);
  if (!is_normalized) return added.insert(content, id, special, flags);
  const auto known = normalized.longest_at(text, Specials::kParse);
  if (!text.empty() && (!known || known->length < text.size()))
    normalized.insert(text, id, special, flags);
}

void Tokenizer::State::take_added_tokens() {
  std::unordered_set<std::string_view> named;
  for (const auto& [name, content] : config.named) named.insert(content);
  for (const std::string& content : config.more_special) named.insert(content);
  for (const AddedToken& token : config.added) {
    const bool special = token.special.value_or(looks_special(token.content));
    add(token.id, token.content, special || named.contains(token.content), token.flags);
  }
}

// Named tokens that are pieces of the vocabulary only.
void Tokenizer::State::take_special_names() {
  const auto take = [&](const std::string& content) {
    if (added_id.contains(content)) return;
    if (const auto id = find(content)) return add(*id, content, true, {});
    log_warning("tokenizer_config.json names the token {}, which has no id", content);
  };
  for (const auto& [name, content] : config.named) take(content);
  for (const std::string& content : config.more_special) take(content);
}

// Control pieces that no other file mentions.
void Tokenizer::State::take_remaining_specials() {
  for (size_t id = 0; id < entries.size(); ++id) {
    const Entry& entry = entries[id];
    if (entry.kind == Kind::kText && entry.special && !added_id.contains(entry.bytes))
      add(static_cast<TokenId>(id), std::string(entry.bytes), true, {});
  }
}

void Tokenizer::State::measure() {
  bool has_bound = vocabulary.keeps_length && vocabulary.has_bytes();
  for (const Entry& entry : entries) {
    longest_token = std::max(longest_token, entry.bytes.size());
    if (entry.flags.lstrip || entry.flags.rstrip) has_bound = false;
  }
  if (!has_bound) longest_token = kNoBound;
}

const Tokenizer::State::Entry* Tokenizer::State::entry(TokenId id) const {
  const bool exists = id >= 0 && static_cast<size_t>(id) < entries.size();
  return exists && entries[id].kind != Kind::kNone ? &entries[id] : nullptr;
}

std::optional<TokenId> Tokenizer::State::find(std::string_view piece) const {
  const std::string text(piece);
  if (const auto known = added_id.find(text); known != added_id.end()) return known->second;
  const auto id = vocabulary.ids.find(text);
  const bool is_it = id != vocabulary.ids.end() && entries[id->second].kind != Kind::kAdded;
  return is_it ? std::optional<TokenId>(id->second) : std::nullopt;
}

// One text on its way to ids.
class Tokenizer::Encoding {
 public:
  Encoding(const State& state, Specials specials, const EncodeLimits& limits)
      : state_(state), specials_(specials), limits_(limits) {}

  Result<std::vector<TokenId>> encode(std::string_view text, bool at_start) && {
    size_t begin = 0;
    while (const auto found = state_.added.find(text, begin, specials_)) {
      append_text(text.substr(begin, found->begin - begin), at_start && begin == 0);
      if (!goes_on() || !goes_on_after(found->id)) break;
      begin = found->end;
    }
    if (goes_on()) append_text(text.substr(begin), at_start && begin == 0);
    if (ids_.size() > limits_.max_tokens) return too_many_tokens(limits_.max_tokens);
    if (!is_wanted_) return Status{Code::kCancelled, "the text is not wanted any more"};
    return std::move(ids_);
  }

 private:
  bool is_wanted() {
    if (is_wanted_ && limits_.is_wanted != nullptr) is_wanted_ = limits_.is_wanted();
    return goes_on();
  }
  // Goes by the last answer: a text may be nothing but added tokens, and asking may be dear.
  bool goes_on() const { return is_wanted_ && ids_.size() <= limits_.max_tokens; }
  bool goes_on_after(TokenId id) {
    ids_.push_back(id);
    return ids_.size() % kAskEvery == 0 ? is_wanted() : goes_on();
  }

  // Text without added tokens as they are.
  void append_text(std::string_view text, bool at_start) {
    if (text.empty()) return;
    const std::string normal = state_.vocabulary.normalize(text);
    size_t begin = 0;
    while (const auto found = state_.normalized.find(normal, begin, specials_)) {
      append_words(normal.substr(begin, found->begin - begin), at_start && begin == 0);
      if (!goes_on() || !goes_on_after(found->id)) return;
      begin = found->end;
    }
    append_words(begin == 0 ? normal : normal.substr(begin), at_start && begin == 0);
  }

  void append_words(const std::string& text, bool at_start) {
    const auto& mark = state_.vocabulary.mark_words;
    append_pieces(mark == nullptr ? text : mark(text, at_start));
  }

  void append_pieces(std::string_view text) {
    bool after_unknown = false;
    state_.vocabulary.encode(
        text, [&] { return is_wanted(); },
        [&](TokenId id, std::string_view part) {
          const bool is_unknown = id < 0 || id == state_.vocabulary.unknown;
          if (is_unknown) {
            append_unknown(part, after_unknown);
          } else if (state_.entries[id].special) {
            append_spelled(part);
          } else {
            ids_.push_back(id);
          }
          after_unknown = is_unknown;
        });
  }

  // What no piece can write is written in bytes.
  void append_unknown(std::string_view part, bool after_unknown) {
    const Vocabulary& vocabulary = state_.vocabulary;
    if (append_bytes(part) || vocabulary.unknown < 0) return;
    if (!after_unknown || !vocabulary.fuses_unknown) ids_.push_back(vocabulary.unknown);
  }

  bool append_bytes(std::string_view part) {
    for (const char byte : part)
      if (state_.vocabulary.bytes[static_cast<unsigned char>(byte)] < 0) return false;
    for (const char byte : part)
      ids_.push_back(state_.vocabulary.bytes[static_cast<unsigned char>(byte)]);
    return true;
  }

  // A vocabulary may hold special tokens as ordinary pieces, which any text can spell: those are
  // taken apart, until none is left.
  void append_spelled(std::string_view special) {
    const size_t first = utf8_step(special).length;
    if (first < special.size()) {
      append_pieces(special.substr(0, first));
      append_pieces(special.substr(first));
    } else {
      append_unknown(special, false);
    }
  }

  static constexpr size_t kAskEvery = 4096;  // added tokens

  const State& state_;
  const Specials specials_;
  const EncodeLimits& limits_;
  std::vector<TokenId> ids_;
  bool is_wanted_ = true;
};

Tokenizer::Tokenizer(std::unique_ptr<const State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;

size_t Tokenizer::least_tokens(size_t bytes) const {
  return bytes / state_->longest_token + (bytes % state_->longest_token > 0 ? 1 : 0);
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::filesystem::path& model_dir) {
  const TokenizerFiles files = TRY(load_tokenizer_files(model_dir));
  if (files.model.empty() && files.json.empty())
    return Status{Code::kNotFound,
                  fmt::format("{} has no tokenizer.model (nor spm.model, ernie_token_100k.model, "
                              "tokenizer.json)",
                              model_dir.string())};
  return from_files(files);
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_files(const TokenizerFiles& files) {
  auto state = std::make_unique<State>();
  state->is_json = files.model.empty() && !files.json.empty();
  state->vocabulary = TRY(read_vocabulary(files));
  state->config = TRY(parse_tokenizer_config(files, state->vocabulary.added));
  state->take_pieces();
  state->take_added_tokens();
  state->take_special_names();
  state->take_remaining_specials();
  if (state->added_bytes > kMaxAddedBytes)
    return invalid(fmt::format("{}: the added tokens have more than {} bytes of text",
                               state->is_json ? "tokenizer.json" : "added_tokens.json",
                               kMaxAddedBytes / 2));
  state->measure();
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(state)));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, Specials specials,
                                       bool at_start) const {
  return encode_within(text, specials, {}, at_start).value();
}

Result<std::vector<TokenId>> Tokenizer::encode_within(std::string_view text, Specials specials,
                                                      const EncodeLimits& limits,
                                                      bool at_start) const {
  return Encoding(*state_, specials, limits).encode(text, at_start);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  Detokenizer detokenizer(*this, skip_special);
  std::string text;
  for (const TokenId id : ids) text += detokenizer.push(id);
  text += detokenizer.finish();
  return text;
}

const char* Tokenizer::source() const {
  return state_->is_json ? "tokenizer.json" : "tokenizer.model";
}

int Tokenizer::size() const {
  return static_cast<int>(state_->entries.size());
}

bool Tokenizer::is_special(TokenId id) const {
  const State::Entry* entry = state_->entry(id);
  return entry != nullptr && entry->special;
}

bool Tokenizer::is_byte(TokenId id) const {
  const State::Entry* entry = state_->entry(id);
  return entry != nullptr && entry->kind == State::Kind::kByte;
}

std::string_view Tokenizer::piece(TokenId id) const {
  const State::Entry* entry = state_->entry(id);
  if (entry == nullptr) return {};
  return entry->kind == State::Kind::kAdded ? entry->bytes : state_->vocabulary.pieces[id].text;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  const State::Entry* entry = state_->entry(id);
  return entry == nullptr ? std::string_view() : entry->bytes;
}

std::optional<TokenId> Tokenizer::find(std::string_view piece) const {
  return state_->find(piece);
}

std::optional<Tokenizer::Added> Tokenizer::added_token_at(std::string_view text) const {
  const auto match = state_->contents.longest_at(text, Specials::kParse);
  if (!match) return std::nullopt;
  return Added{match->id, match->length, is_special(match->id)};
}

TokenFlags Tokenizer::flags(TokenId id) const {
  const State::Entry* entry = state_->entry(id);
  return entry == nullptr ? TokenFlags{} : entry->flags;
}

const std::vector<std::pair<std::string, std::string>>& Tokenizer::named_tokens() const {
  return state_->config.named;
}

const Json& Tokenizer::config() const {
  return state_->config.json;
}

std::optional<int64_t> Tokenizer::model_max_length() const {
  constexpr double kNoLimit = 1e9;  // files without a limit say 1e30
  const Json* value = state_->config.json.find("model_max_length");
  if (value == nullptr || !value->is_number()) return std::nullopt;
  const double length = value->as_double();
  if (!(length >= 1 && length < kNoLimit)) return std::nullopt;
  return static_cast<int64_t>(length);
}

}  // namespace erne::text
