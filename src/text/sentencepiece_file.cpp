#include "text/sentencepiece_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "text/sentencepiece_normalizer.h"

namespace erne::text {
namespace {

constexpr size_t kMaxPieces = 1 << 20;
// Every way to cut every piece in two is looked at; this ends files made to take long.
constexpr size_t kMaxCutBytes = size_t{1} << 30;
constexpr size_t kMaxMerges = 4 << 20;
constexpr size_t kMaxUserDefinedBytes = 4 << 20;
constexpr uint64_t kBpe = 2;  // TrainerSpec.ModelType; unigram is 1, and the default

// SentencePiece.Type. Unused pieces are joined and taken apart again: no trainer writes any.
enum Type : uint64_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

// One field of a protobuf message in wire format.
struct Field {
  uint32_t number = 0;
  uint64_t number_value = 0;  // of a varint, or the bits of a fixed32 or fixed64
  std::string_view bytes;     // of a length-delimited field
};

class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : rest_(bytes) {}

  // The next field; nothing at the end, or where the bytes are no message (then failed()).
  std::optional<Field> next() {
    if (rest_.empty() || failed_) return std::nullopt;
    const uint64_t key = varint();
    Field field;
    field.number = static_cast<uint32_t>(key >> 3);
    switch (key & 7) {
      case 0:
        field.number_value = varint();
        break;
      case 1:
        field.number_value = fixed(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.number_value = fixed(4);
        break;
      default:
        failed_ = true;  // groups were never part of this format
    }
    if (failed_ || field.number == 0) {
      failed_ = true;
      return std::nullopt;
    }
    return field;
  }
  bool failed() const { return failed_; }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::string_view byte = take(1);
      if (failed_) return 0;
      const auto bits = static_cast<unsigned char>(byte[0]);
      value |= static_cast<uint64_t>(bits & 0x7F) << shift;
      if (bits < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }

  uint64_t fixed(size_t length) {
    uint64_t value = 0;
    const std::string_view bytes = take(length);
    if (!failed_) std::memcpy(&value, bytes.data(), length);
    return value;
  }

  std::string_view take(uint64_t length) {
    if (failed_ || length > rest_.size()) {
      failed_ = true;
      return {};
    }
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return taken;
  }

  std::string_view rest_;
  bool failed_ = false;
};

Status wrong(const std::string& what) {
  return invalid("tokenizer.model: " + what);
}

struct Piece {
  std::string_view text;
  float score = 0;
  uint64_t type = kNormal;
};

Result<Piece> read_piece(std::string_view message, size_t index) {
  Piece piece;
  MessageReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number == 1) piece.text = field->bytes;
    if (field->number == 2) {
      const auto bits = static_cast<uint32_t>(field->number_value);
      std::memcpy(&piece.score, &bits, sizeof(piece.score));
    }
    if (field->number == 3) piece.type = field->number_value;
  }
  if (reader.failed()) return wrong(fmt::format("piece {} is cut off or damaged", index));
  if (piece.text.empty() || piece.text.size() > kMaxPieceBytes) {
    return wrong(fmt::format("piece {} has {} bytes; allowed are 1 to {}", index, piece.text.size(),
                             kMaxPieceBytes));
  }
  if (!is_valid_utf8(piece.text) || piece.text.find('\0') != piece.text.npos)
    return wrong(fmt::format("piece {} is not UTF-8 text", index));
  if (!std::isfinite(piece.score)) return wrong(fmt::format("piece {} has no finite score", index));
  if (piece.type < kNormal || piece.type > kByte || piece.type == kUnused)
    return wrong(fmt::format("piece {} has the type {}, which is not known", index, piece.type));
  // SentencePiece finds such a piece in plain text and then fails to encode that text.
  if (piece.type == kControl && utf8_step(piece.text).length == piece.text.size())
    return wrong(fmt::format("piece {} is a control piece of a single character", index));
  return piece;
}

// What TrainerSpec and NormalizerSpec say. A message that comes twice is one, whose later fields
// count.
struct Specs {
  uint64_t model_type = 1;
  bool byte_fallback = false;
  std::string_view character_map;
  SentencePieceNormalizer normalizer;

  Result<void> take_trainer(std::string_view message) {
    MessageReader reader(message);
    while (const auto field = reader.next()) {
      if (field->number == 3) model_type = field->number_value;
      if (field->number == 24) normalizer.whitespace_is_suffix = field->number_value != 0;
      if (field->number == 35) byte_fallback = field->number_value != 0;
    }
    if (reader.failed()) return wrong("the trainer's description is damaged");
    return {};
  }

  Result<void> take_normalizer(std::string_view message) {
    MessageReader reader(message);
    while (const auto field = reader.next()) {
      if (field->number == 2) character_map = field->bytes;
      if (field->number == 3) normalizer.add_dummy_prefix = field->number_value != 0;
      if (field->number == 4) normalizer.remove_extra_whitespaces = field->number_value != 0;
      if (field->number == 5) normalizer.escape_whitespaces = field->number_value != 0;
    }
    if (reader.failed()) return wrong("the normaliser's description is damaged");
    return {};
  }
};

Result<void> take_byte_piece(std::string_view text, TokenId id, Vocabulary& vocabulary) {
  const int byte = byte_of_piece(text);
  if (byte < 0) return wrong(fmt::format("piece {} is a byte piece without a byte", id));
  vocabulary.bytes[static_cast<size_t>(byte)] = id;
  vocabulary.set_piece(id, std::string(text), Vocabulary::Kind::kByte);
  return {};
}

Result<void> take_pieces(const std::vector<Piece>& pieces, Specs& specs, Vocabulary& vocabulary) {
  std::unordered_set<std::string_view> seen;
  size_t num_bytes = 0, user_defined_bytes = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    const auto id = static_cast<TokenId>(i);
    if (!seen.insert(piece.text).second)
      return wrong(fmt::format("piece {} has the text of another one", i));
    if (piece.type == kByte) {
      TRY(take_byte_piece(piece.text, id, vocabulary));
      ++num_bytes;
      continue;
    }
    const auto kind = piece.type == kUnknown   ? Vocabulary::Kind::kUnknown
                      : piece.type == kControl ? Vocabulary::Kind::kControl
                                               : Vocabulary::Kind::kText;
    vocabulary.set_piece(id, std::string(piece.text), kind);
    if (piece.type == kUserDefined) {
      user_defined_bytes += piece.text.size();
      if (user_defined_bytes > kMaxUserDefinedBytes)
        return wrong("its user-defined pieces are too long");
      vocabulary.whole.insert(piece.text, id, false);
      specs.normalizer.untouched.insert(piece.text, id, false);
    }
    if (piece.type == kUnknown) {
      if (vocabulary.unknown >= 0) return wrong(fmt::format("piece {} is a second <unk>", i));
      vocabulary.unknown = id;
    }
  }
  if (vocabulary.unknown < 0) return wrong("no piece stands for what is unknown");
  if (num_bytes != (specs.byte_fallback ? 256u : 0u))
    return wrong(
        fmt::format("{} byte pieces; expected {}", num_bytes, specs.byte_fallback ? 256 : 0));
  return {};
}

// By piece: its place in the order of scores, the best first; equal scores have one place.
std::vector<int32_t> ranks_of(const std::vector<Piece>& pieces) {
  std::vector<float> scores;
  for (const Piece& piece : pieces) scores.push_back(piece.score);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  std::vector<int32_t> ranks;
  for (const Piece& piece : pieces) {
    const auto place =
        std::lower_bound(scores.begin(), scores.end(), piece.score, std::greater<>());
    ranks.push_back(static_cast<int32_t>(place - scores.begin()));
  }
  return ranks;
}

// Any two parts may be joined whose text together is a piece, and the piece's score is their rank.
// A part is a piece itself or a single character.
Result<void> take_merges(const std::vector<Piece>& pieces, Bpe& bpe) {
  std::unordered_set<std::string_view> parts;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].type != kNormal && pieces[i].type != kUserDefined) continue;
    bpe.add_piece(pieces[i].text, static_cast<TokenId>(i));
    parts.insert(pieces[i].text);
  }
  const auto is_part = [&](std::string_view text) {
    return utf8_step(text).length == text.size() || parts.contains(text);
  };
  const std::vector<int32_t> ranks = ranks_of(pieces);
  size_t cut_bytes = 0, num_merges = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const std::string_view text = pieces[i].text;
    if (pieces[i].type != kNormal) continue;  // user-defined pieces are found whole
    cut_bytes += text.size() * text.size();
    if (cut_bytes > kMaxCutBytes) return wrong("its pieces are too long");
    for (size_t cut = utf8_step(text).length; cut < text.size();
         cut += utf8_step(text.substr(cut)).length) {
      const std::string_view first = text.substr(0, cut), second = text.substr(cut);
      if (!is_part(first) || !is_part(second)) continue;
      if (++num_merges > kMaxMerges) return wrong("its pieces can be joined in too many ways");
      bpe.add_merge(first, second, ranks[i]);
    }
  }
  return {};
}

}  // namespace

Result<Vocabulary> read_sentencepiece_model(std::string_view bytes) {
  std::vector<Piece> pieces;
  Specs specs;
  MessageReader reader(bytes);
  while (const auto field = reader.next()) {
    if (field->number == 1) {
      if (pieces.size() == kMaxPieces) return wrong(fmt::format("more than {} pieces", kMaxPieces));
      pieces.push_back(TRY(read_piece(field->bytes, pieces.size())));
    } else if (field->number == 2) {
      TRY(specs.take_trainer(field->bytes));
    } else if (field->number == 3) {
      TRY(specs.take_normalizer(field->bytes));
    }
  }
  if (reader.failed()) return wrong("not a SentencePiece model, or cut off");
  if (pieces.empty()) return wrong("no pieces");
  if (specs.model_type != kBpe)
    return wrong(fmt::format("model type {}; ERNIE's is BPE ({})", specs.model_type, kBpe));
  auto map = CharacterMap::parse(specs.character_map);
  if (!map.ok()) return wrong(map.status().message);
  specs.normalizer.map = std::move(map).value();

  Vocabulary vocabulary;
  TRY(take_pieces(pieces, specs, vocabulary));
  TRY(take_merges(pieces, vocabulary.bpe));
  vocabulary.keeps_length = specs.normalizer.keeps_length();
  vocabulary.normalize = [normalizer = std::move(specs.normalizer)](std::string_view text) {
    return normalizer.normalize(text);
  };
  return vocabulary;
}

}  // namespace erne::text
