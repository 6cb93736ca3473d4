#include "text/tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <unordered_map>
#include <unordered_set>

#include "base/log.h"
#include "base/utf8.h"
#include "text/added_tokens.h"
#include "text/detokenizer.h"
#include "text/sentencepiece_file.h"
#include "text/tokenizer_files.h"

namespace erne::text {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, how pieces write a space

enum class Kind : uint8_t { kNone, kText, kByte, kAdded };

struct Entry {
  Kind kind = Kind::kNone;
  bool special = false;
  std::string bytes;  // what the token adds to a text
};

std::string with_spaces(std::string_view piece) {
  std::string text;
  for (size_t i = 0; i < piece.size();) {
    const bool is_space = piece.substr(i).starts_with(kSpaceMark);
    text += is_space ? ' ' : piece[i];
    i += is_space ? kSpaceMark.size() : 1;
  }
  return text;
}

// "<0x0A>" -> "\n". SentencePiece has checked the form.
std::string byte_of(std::string_view piece) {
  unsigned value = 0;
  std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  return std::string(1, static_cast<char>(value));
}

// An added token that no file flags: the family's ordinary ones are the bare digits, its special
// ones are all written in angle brackets.
bool looks_special(std::string_view content) {
  return content.starts_with('<') && content.ends_with('>');
}

Result<std::unique_ptr<sentencepiece::SentencePieceProcessor>> load_model(std::string_view bytes) {
  TRY(check_sentencepiece_model(bytes));
  auto processor = std::make_unique<sentencepiece::SentencePieceProcessor>();
  try {
    const auto status = processor->LoadFromSerializedProto(bytes);
    if (status.ok()) return processor;
    return invalid(fmt::format("tokenizer.model: {}", status.message()));
  } catch (const std::exception& error) {
    return invalid(fmt::format("tokenizer.model: {}", error.what()));
  }
}

}  // namespace

struct Tokenizer::State {
  std::unique_ptr<sentencepiece::SentencePieceProcessor> model;
  std::vector<Entry> entries;  // by id
  AddedTokens added;
  std::unordered_map<std::string, TokenId> added_id;
  TokenizerConfig config;
  size_t longest_token = 1;  // bytes

  void take_model_pieces();
  void take_added_tokens();
  void take_special_names();
  void take_remaining_specials();
  const Entry* entry(TokenId id) const;
  std::optional<TokenId> find(std::string_view piece) const;
  void add(TokenId id, const std::string& content, bool special);

  void append_text(std::string_view text, std::vector<TokenId>& ids) const;
  void append_spelled(std::string_view special_text, std::vector<TokenId>& ids) const;
};

void Tokenizer::State::take_model_pieces() {
  entries.resize(model->GetPieceSize());
  for (int id = 0; id < model->GetPieceSize(); ++id) {
    const std::string& piece = model->IdToPiece(id);
    Entry& entry = entries[id];
    entry.kind = model->IsByte(id) ? Kind::kByte : Kind::kText;
    entry.bytes = model->IsByte(id) ? byte_of(piece) : with_spaces(piece);
    entry.special = model->IsControl(id) || model->IsUnknown(id);
  }
}

void Tokenizer::State::add(TokenId id, const std::string& content, bool special) {
  if (static_cast<size_t>(id) >= entries.size()) entries.resize(id + 1);
  entries[id] = {Kind::kAdded, special, content};
  added_id[content] = id;
  added.insert(content, id, special);
}

void Tokenizer::State::take_added_tokens() {
  std::unordered_set<std::string_view> named;
  for (const auto& [name, content] : config.named) named.insert(content);
  for (const std::string& content : config.more_special) named.insert(content);
  for (const auto& token : config.added) {
    const bool special = token.special.value_or(looks_special(token.content));
    add(token.id, token.content, special || named.contains(token.content));
  }
}

// Named tokens that are pieces of the model only.
void Tokenizer::State::take_special_names() {
  const auto take = [&](const std::string& content) {
    if (added_id.contains(content)) return;
    if (const auto id = find(content)) return add(*id, content, true);
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
      add(static_cast<TokenId>(id), std::string(entry.bytes), true);
  }
}

const Entry* Tokenizer::State::entry(TokenId id) const {
  const bool exists = id >= 0 && static_cast<size_t>(id) < entries.size();
  return exists && entries[id].kind != Kind::kNone ? &entries[id] : nullptr;
}

std::optional<TokenId> Tokenizer::State::find(std::string_view piece) const {
  const auto known = added_id.find(std::string(piece));
  if (known != added_id.end()) return known->second;
  const int id = model->PieceToId(piece);  // the unknown piece's, where there is none
  const bool is_it = model->IdToPiece(id) == piece && entries[id].kind != Kind::kAdded;
  return is_it ? std::optional<TokenId>(id) : std::nullopt;
}

// Text without added tokens. A model file may hold special tokens as user-defined pieces, which
// SentencePiece then sees in any text: those are spelled out again.
void Tokenizer::State::append_text(std::string_view text, std::vector<TokenId>& ids) const {
  if (text.empty()) return;
  std::vector<int> pieces;
  const auto status = model->Encode(text, &pieces);
  CHECK(status.ok());  // fails only without a model
  for (const int id : pieces) {
    if (entries[id].special && !model->IsUnknown(id)) {
      // As the model file has it, which is part of `text`, so this ends; an added token may have
      // given the id another content.
      append_spelled(with_spaces(model->IdToPiece(id)), ids);
    } else {
      ids.push_back(id);
    }
  }
}

void Tokenizer::State::append_spelled(std::string_view text, std::vector<TokenId>& ids) const {
  const size_t first = utf8_step(text).length;
  if (first < text.size()) {
    append_text(text.substr(0, first), ids);
    append_text(text.substr(first), ids);
    return;
  }
  for (const char byte : text) {  // a special token of a single character
    const auto value = static_cast<unsigned char>(byte);
    const int id = model->PieceToId(fmt::format("<0x{:02X}>", value));
    ids.push_back(model->IsByte(id) ? id : model->unk_id());
  }
}

Tokenizer::Tokenizer(std::unique_ptr<const State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;

size_t Tokenizer::least_tokens(size_t bytes) const {
  return (bytes + state_->longest_token - 1) / state_->longest_token;
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::filesystem::path& model_dir) {
  const TokenizerFiles files = TRY(load_tokenizer_files(model_dir));
  if (files.model.empty())
    return Status{Code::kNotFound,
                  fmt::format("{} has no tokenizer.model (nor spm.model, ernie_token_100k.model)",
                              model_dir.string())};
  return from_files(files);
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_files(const TokenizerFiles& files) {
  auto state = std::make_unique<State>();
  state->model = TRY(load_model(files.model));
  state->config = TRY(parse_tokenizer_config(files));
  state->take_model_pieces();
  state->take_added_tokens();
  state->take_special_names();
  state->take_remaining_specials();
  for (const Entry& entry : state->entries)
    state->longest_token = std::max(state->longest_token, entry.bytes.size());
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(state)));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, Specials specials) const {
  std::vector<TokenId> ids;
  size_t begin = 0;
  while (const auto found = state_->added.find(text, begin, specials)) {
    state_->append_text(text.substr(begin, found->offset - begin), ids);
    ids.push_back(found->match.id);
    begin = found->offset + found->match.length;
  }
  state_->append_text(text.substr(begin), ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  Detokenizer detokenizer(*this, skip_special);
  std::string text;
  for (const TokenId id : ids) text += detokenizer.push(id);
  text += detokenizer.finish();
  return text;
}

int Tokenizer::size() const {
  return static_cast<int>(state_->entries.size());
}

bool Tokenizer::is_special(TokenId id) const {
  const Entry* entry = state_->entry(id);
  return entry != nullptr && entry->special;
}

bool Tokenizer::is_byte(TokenId id) const {
  const Entry* entry = state_->entry(id);
  return entry != nullptr && entry->kind == Kind::kByte;
}

std::string_view Tokenizer::piece(TokenId id) const {
  const Entry* entry = state_->entry(id);
  if (entry == nullptr) return {};
  return entry->kind == Kind::kAdded ? entry->bytes : state_->model->IdToPiece(id);
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  const Entry* entry = state_->entry(id);
  return entry == nullptr ? std::string_view() : entry->bytes;
}

std::string Tokenizer::token_text(TokenId id) const {
  return decode(std::span(&id, 1), /*skip_special=*/false);
}

std::optional<TokenId> Tokenizer::find(std::string_view piece) const {
  return state_->find(piece);
}

std::optional<Tokenizer::Added> Tokenizer::added_token_at(std::string_view text) const {
  const auto match = state_->added.longest_at(text, Specials::kParse);
  if (!match) return std::nullopt;
  return Added{match->id, match->length, is_special(match->id)};
}

const std::vector<std::pair<std::string, std::string>>& Tokenizer::named_tokens() const {
  return state_->config.named;
}

std::optional<std::string_view> Tokenizer::named_token(std::string_view name) const {
  for (const auto& [key, content] : state_->config.named)
    if (key == name) return content;
  return std::nullopt;
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
