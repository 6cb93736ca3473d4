#include "text/sentencepiece_file.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "base/utf8.h"

namespace erne::text {
namespace {

constexpr int kMaxPieces = 1 << 20;
constexpr size_t kMaxPieceBytes = 1024;
constexpr size_t kMaxTableBytes = 4 << 20;  // the largest table SentencePiece ships is 0.25 MB
constexpr uint64_t kBpe = 2;                // TrainerSpec.ModelType; unigram is 1, and the default
constexpr uint64_t kControl = 3;            // SentencePiece.Type; normal is 1, and the default

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

Result<void> check_piece(std::string_view message, int index) {
  std::string_view piece;
  float score = 0;
  uint64_t type = 1;
  MessageReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number == 1) piece = field->bytes;
    if (field->number == 2) {
      const auto bits = static_cast<uint32_t>(field->number_value);
      std::memcpy(&score, &bits, sizeof(score));
    }
    if (field->number == 3) type = field->number_value;
  }
  if (reader.failed()) return wrong(fmt::format("piece {} is cut off or damaged", index));
  if (piece.empty() || piece.size() > kMaxPieceBytes) {
    return wrong(fmt::format("piece {} has {} bytes; allowed are 1 to {}", index, piece.size(),
                             kMaxPieceBytes));
  }
  if (!is_valid_utf8(piece) || piece.find('\0') != piece.npos)
    return wrong(fmt::format("piece {} is not UTF-8 text", index));
  if (!std::isfinite(score)) return wrong(fmt::format("piece {} has no finite score", index));
  // SentencePiece finds such a piece in plain text and then fails to encode that text.
  if (type == kControl && utf8_step(piece).length == piece.size())
    return wrong(fmt::format("piece {} is a control piece of a single character", index));
  return {};
}

// A double array: unit i leads, by byte c, to unit i ^ offset(i) ^ c, if that one's label is c. A
// search reads every such unit before it compares labels, so all 256 have to exist.
class DoubleArray {
 public:
  explicit DoubleArray(std::string_view bytes) : units_(bytes.size() / sizeof(uint32_t)) {
    std::memcpy(units_.data(), bytes.data(), units_.size() * sizeof(uint32_t));
  }

  // True if no search can leave the array, and every value it finds is below `values_end`.
  bool is_sound(size_t values_end) const {
    if (units_.empty()) return false;
    std::vector<bool> seen(units_.size());
    std::vector<size_t> open = {0};
    seen[0] = true;
    while (!open.empty()) {
      const size_t node = open.back();
      open.pop_back();
      const size_t base = node ^ offset(units_[node]);
      if ((base | 0xFF) >= units_.size()) return false;
      if (has_leaf(units_[node]) && value(units_[base]) >= values_end) return false;
      for (uint32_t byte = 1; byte < 256; ++byte) {
        const size_t child = base ^ byte;
        if (label(units_[child]) != byte || seen[child]) continue;
        seen[child] = true;
        open.push_back(child);
      }
    }
    return true;
  }

 private:
  static bool has_leaf(uint32_t unit) { return ((unit >> 8) & 1) == 1; }
  static uint32_t value(uint32_t unit) { return unit & 0x7FFFFFFF; }
  static uint32_t label(uint32_t unit) { return unit & ((1u << 31) | 0xFF); }
  static size_t offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

  std::vector<uint32_t> units_;
};

// NormalizerSpec.precompiled_charsmap: the byte size of a double array (4 bytes, little endian),
// the array, and the texts that its values point into, each ended by a NUL.
Result<void> check_charsmap(std::string_view map) {
  if (map.empty()) return {};
  const Status damaged = wrong("the normalisation table is damaged");
  if (map.size() > kMaxTableBytes) return wrong("the normalisation table is too large");
  uint32_t array_bytes = 0;
  if (map.size() <= sizeof(array_bytes)) return damaged;
  std::memcpy(&array_bytes, map.data(), sizeof(array_bytes));
  map.remove_prefix(sizeof(array_bytes));
  if (array_bytes == 0 || array_bytes >= map.size() || array_bytes % sizeof(uint32_t) != 0)
    return damaged;
  const std::string_view texts = map.substr(array_bytes);
  if (texts.back() != '\0') return damaged;
  if (!DoubleArray(map.substr(0, array_bytes)).is_sound(texts.size())) return damaged;
  return {};
}

Result<void> check_normalizer(std::string_view message) {
  MessageReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number == 2) TRY(check_charsmap(field->bytes));
  }
  if (reader.failed()) return wrong("the normaliser's description is damaged");
  return {};
}

}  // namespace

Result<void> check_sentencepiece_model(std::string_view bytes) {
  int num_pieces = 0;
  uint64_t model_type = 1;
  MessageReader reader(bytes);
  while (const auto field = reader.next()) {
    if (field->number == 1) {
      if (num_pieces == kMaxPieces) return wrong(fmt::format("more than {} pieces", kMaxPieces));
      TRY(check_piece(field->bytes, num_pieces++));
    } else if (field->number == 2) {
      MessageReader trainer(field->bytes);
      while (const auto option = trainer.next())
        if (option->number == 3) model_type = option->number_value;
    } else if (field->number == 3 || field->number == 5) {
      TRY(check_normalizer(field->bytes));
    }
  }
  if (reader.failed()) return wrong("not a SentencePiece model, or cut off");
  if (num_pieces == 0) return wrong("no pieces");
  if (model_type != kBpe)
    return wrong(fmt::format("model type {}; ERNIE's is BPE ({})", model_type, kBpe));
  return {};
}

}  // namespace erne::text
