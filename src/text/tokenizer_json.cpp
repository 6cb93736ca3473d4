#include "text/tokenizer_json.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/json_file.h"
#include "base/utf8.h"
#include "text/sentencepiece_normalizer.h"

namespace erne::text {
namespace {

constexpr size_t kMaxSteps = 16;
constexpr size_t kMaxGrowth = 64;  // bytes that normalising may make of one

Status wrong(std::string_view field, const std::string& what) {
  return invalid(fmt::format("tokenizer.json: {}: {}", field, what));
}

Status not_ours(std::string_view field, const std::string& what) {
  return unsupported(fmt::format(
      "tokenizer.json: {}: {} is not built; ERNIE's tokenizers are BPE over pieces with \u2581 for "
      "a space. Put the checkpoint's tokenizer.model beside it, if there is one",
      field, what));
}

const Json* member(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string_view text_of(const Json& object, std::string_view key) {
  const Json* value = member(object, key);
  return value != nullptr && value->is_string() ? std::string_view(value->as_string())
                                                : std::string_view();
}

bool is_true(const Json& object, std::string_view key, bool otherwise = false) {
  const Json* value = member(object, key);
  return value != nullptr && value->is_bool() ? value->as_bool() : otherwise;
}

// The steps of a normaliser, pre-tokeniser or decoder: none, one, or a Sequence's.
Result<std::vector<const Json*>> steps_of(const Json* value, const char* field, const char* list) {
  std::vector<const Json*> steps, open;
  if (value != nullptr) open.push_back(value);
  while (!open.empty()) {
    const Json* step = open.back();
    open.pop_back();
    if (step->is_null()) continue;
    if (text_of(*step, "type") != "Sequence") {
      steps.push_back(step);
    } else if (const Json* inner = member(*step, list); inner != nullptr && inner->is_array()) {
      for (size_t i = inner->as_array().size(); i > 0; --i)
        open.push_back(&inner->as_array()[i - 1]);
    }
    if (steps.size() + open.size() > kMaxSteps)
      return wrong(field, fmt::format("more than {} steps", kMaxSteps));
  }
  return steps;
}

// One change to a text before it is cut into pieces.
struct Change {
  enum class When { kAlways, kAtStart };
  std::string pattern;  // every occurrence becomes `content`; empty: `content` is put in front
  std::string content;
  When when = When::kAlways;
  bool unless_there = false;  // not in front of itself
};

std::string replaced(std::string_view text, const Change& change) {
  std::string out;
  for (size_t at; (at = text.find(change.pattern)) != text.npos;) {
    out += text.substr(0, at);
    out += change.content;
    text.remove_prefix(at + change.pattern.size());
  }
  return out += text;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    out += step.valid ? text.substr(0, step.length) : kReplacementCharacter;
    text.remove_prefix(step.length);
  }
  return out;
}

std::string changed(std::string text, const std::vector<Change>& changes, bool at_start) {
  for (const Change& change : changes) {
    if (!change.pattern.empty()) {
      text = replaced(text, change);
      continue;
    }
    const bool is_due = change.when == Change::When::kAlways || at_start;
    const bool is_there = change.unless_there && text.starts_with(change.content);
    if (is_due && !is_there && !text.empty()) text.insert(0, change.content);
  }
  return text;
}

Result<Change> normalizer_change(const Json& step) {
  const std::string_view type = text_of(step, "type");
  if (type == "Prepend")
    return Change{"", std::string(text_of(step, "prepend")), Change::When::kAlways, false};
  if (type != "Replace") return not_ours("normalizer", fmt::format("a step of type {}", type));
  const Json* pattern = member(step, "pattern");
  const std::string_view literal = pattern == nullptr ? "" : text_of(*pattern, "String");
  if (literal.empty()) return not_ours("normalizer", "a Replace of anything but a text");
  const std::string_view content = text_of(step, "content");
  return Change{std::string(literal), std::string(content), Change::When::kAlways, false};
}

// Metaspace: spaces become marks, the text may get one in front, and may be cut before each.
Result<void> take_metaspace(const Json& step, std::vector<Change>& changes, bool& splits_words) {
  const std::string_view mark = text_of(step, "replacement");
  if (mark != kSpaceMark) return not_ours("pre_tokenizer", "a replacement other than \u2581");
  std::string_view scheme = text_of(step, "prepend_scheme");
  if (scheme.empty()) scheme = is_true(step, "add_prefix_space", true) ? "always" : "never";
  changes.push_back({" ", std::string(kSpaceMark), Change::When::kAlways, false});
  if (scheme != "never") {
    const auto when = scheme == "first" ? Change::When::kAtStart : Change::When::kAlways;
    changes.push_back({"", std::string(kSpaceMark), when, true});
  }
  splits_words = is_true(step, "split", true);
  return {};
}

// How many bytes one byte may become, and whether any are lost.
Result<void> check_growth(const std::vector<Change>& changes, Vocabulary& vocabulary) {
  size_t growth = 1;
  for (const Change& change : changes) {
    if (change.content.size() < change.pattern.size()) vocabulary.keeps_length = false;
    if (change.content.size() > kMaxPieceBytes) return wrong("normalizer", "a text is too long");
    if (!change.pattern.empty()) growth *= change.content.size() / change.pattern.size() + 1;
    if (growth > kMaxGrowth) return wrong("normalizer", "its steps make a text too long");
  }
  return {};
}

Result<void> take_normalization(const Json& json, Vocabulary& vocabulary) {
  std::vector<Change> changes, marks;
  for (const Json* step : TRY(steps_of(json.find("normalizer"), "normalizer", "normalizers")))
    changes.push_back(TRY(normalizer_change(*step)));
  const auto steps = TRY(steps_of(json.find("pre_tokenizer"), "pre_tokenizer", "pretokenizers"));
  for (const Json* step : steps) {
    const std::string_view type = text_of(*step, "type");
    if (type != "Metaspace" || steps.size() > 1)
      return not_ours("pre_tokenizer", fmt::format("a step of type {}", type));
    TRY(take_metaspace(*step, marks, vocabulary.splits_words));
  }
  TRY(check_growth(changes, vocabulary));
  vocabulary.normalize = [changes = std::move(changes)](std::string_view text) {
    return changed(valid_utf8(text), changes, /*at_start=*/false);
  };
  vocabulary.mark_words = [marks = std::move(marks)](std::string text, bool at_start) {
    return changed(std::move(text), marks, at_start);
  };
  return {};
}

// Text is put together by the Detokenizer, which does what these decoders say together.
Result<void> check_decoder(const Json& json) {
  for (const Json* step : TRY(steps_of(json.find("decoder"), "decoder", "decoders"))) {
    const std::string_view type = text_of(*step, "type");
    const bool is_known = type == "Replace" || type == "ByteFallback" || type == "Fuse" ||
                          type == "Strip" || type == "Metaspace";
    if (!is_known) return not_ours("decoder", fmt::format("a step of type {}", type));
  }
  return {};
}

Result<void> take_vocabulary(const Json& model, Vocabulary& vocabulary) {
  const Json* pieces = member(model, "vocab");
  if (pieces == nullptr || !pieces->is_object() || pieces->as_object().empty())
    return wrong("model.vocab", "expected an object from pieces to ids");
  const std::string_view unknown = text_of(model, "unk_token");
  const bool has_bytes = is_true(model, "byte_fallback");
  for (const auto& [text, id] : pieces->as_object()) {
    if (!id.is_integer() || id.as_int() < 0 || id.as_int() > kMaxTokenId)
      return wrong("model.vocab",
                   fmt::format("a piece has the id {}, expected 0 to {}", id.dump(), kMaxTokenId));
    if (text.empty() || text.size() > kMaxPieceBytes)
      return wrong("model.vocab", fmt::format("piece {} has {} bytes; allowed are 1 to {}",
                                              id.as_int(), text.size(), kMaxPieceBytes));
    const auto token = static_cast<TokenId>(id.as_int());
    if (static_cast<size_t>(token) < vocabulary.pieces.size() &&
        !vocabulary.pieces[static_cast<size_t>(token)].text.empty())
      return wrong("model.vocab", fmt::format("two pieces have the id {}", token));
    const int byte = has_bytes ? byte_of_piece(text) : -1;
    if (byte >= 0) vocabulary.bytes[static_cast<size_t>(byte)] = token;
    if (text == unknown) vocabulary.unknown = token;
    vocabulary.set_piece(token, text,
                         byte >= 0         ? Vocabulary::Kind::kByte
                         : text == unknown ? Vocabulary::Kind::kUnknown
                                           : Vocabulary::Kind::kText);
    vocabulary.bpe.add_piece(text, token);
  }
  return {};
}

// "first second", or ["first", "second"].
std::optional<std::pair<std::string_view, std::string_view>> merge_of(const Json& value) {
  if (value.is_string()) {
    const std::string_view text = value.as_string();
    const size_t space = text.find(' ');
    if (space == text.npos || text.find(' ', space + 1) != text.npos) return std::nullopt;
    return std::pair(text.substr(0, space), text.substr(space + 1));
  }
  if (!value.is_array() || value.as_array().size() != 2) return std::nullopt;
  const Json &first = value.as_array()[0], &second = value.as_array()[1];
  if (!first.is_string() || !second.is_string()) return std::nullopt;
  return std::pair<std::string_view, std::string_view>(first.as_string(), second.as_string());
}

Result<void> take_merges(const Json& model, Vocabulary& vocabulary) {
  const Json* merges = member(model, "merges");
  if (merges == nullptr || !merges->is_array()) return wrong("model.merges", "expected a list");
  int32_t rank = 0;
  for (const Json& value : merges->as_array()) {
    const auto merge = merge_of(value);
    if (!merge) return wrong("model.merges", fmt::format("merge {} is not two pieces", rank));
    const auto [first, second] = *merge;
    for (const std::string& text :
         {std::string(first), std::string(second), std::string(first).append(second)})
      if (text.empty() || !vocabulary.ids.contains(text))
        return wrong("model.merges", fmt::format("merge {} needs a piece that the vocabulary does "
                                                 "not have",
                                                 rank));
    vocabulary.bpe.add_merge(first, second, rank++);
  }
  return {};
}

Result<void> take_model(const Json& model, Vocabulary& vocabulary) {
  const std::string_view type = text_of(model, "type");
  if (!type.empty() && type != "BPE") return not_ours("model.type", std::string(type));
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!text_of(model, affix).empty()) return not_ours(fmt::format("model.{}", affix), "an affix");
  vocabulary.tries_whole_words = is_true(model, "ignore_merges");
  vocabulary.fuses_unknown = is_true(model, "fuse_unk");
  TRY(take_vocabulary(model, vocabulary));
  return take_merges(model, vocabulary);
}

Result<void> take_added_tokens(const Json& json, Vocabulary& vocabulary) {
  const Json* added = member(json, "added_tokens");
  if (added == nullptr) return {};
  if (!added->is_array()) return wrong("added_tokens", "expected a list");
  for (const Json& token : added->as_array()) {
    const Json* id = member(token, "id");
    const std::string_view content = text_of(token, "content");
    if (id == nullptr || !id->is_integer() || id->as_int() < 0 || id->as_int() > kMaxTokenId ||
        content.empty())
      return wrong("added_tokens", "an entry has no id or no content");
    vocabulary.added.push_back({std::string(content), static_cast<TokenId>(id->as_int()),
                                is_true(token, "special"), token_flags(token)});
  }
  return {};
}

}  // namespace

TokenFlags token_flags(const Json& token) {
  return {is_true(token, "single_word"), is_true(token, "lstrip"), is_true(token, "rstrip"),
          is_true(token, "normalized")};
}

Result<Vocabulary> read_tokenizer_json(std::string_view text) {
  const auto json = parse_json_file(text);
  if (!json.ok()) return invalid("tokenizer.json: " + json.status().message);
  const Json* model = member(*json, "model");
  if (model == nullptr || !model->is_object()) return wrong("model", "expected an object");
  Vocabulary vocabulary;
  TRY(take_model(*model, vocabulary));
  TRY(take_normalization(*json, vocabulary));
  TRY(check_decoder(*json));
  TRY(take_added_tokens(*json, vocabulary));
  return vocabulary;
}

}  // namespace erne::text
