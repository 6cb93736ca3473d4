#include "weights/checkpoint_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <iterator>
#include <set>
#include <type_traits>

#include "tensor/half.h"

namespace erne::weights {
namespace {

constexpr std::string_view kTorchPrefix = "model.";
constexpr std::string_view kPaddlePrefix = "ernie.";

enum class StoredFloat { kBf16, kF16, kF32 };

Result<StoredFloat> float_of(const std::string& name, const CheckpointTensor& tensor) {
  const std::string_view type = tensor.type->name;
  if (type == "BF16" || type == "U16") return StoredFloat::kBf16;
  if (type == "F16") return StoredFloat::kF16;
  if (type == "F32") return StoredFloat::kF32;
  return invalid(fmt::format("tensor {}: dtype: found {}, expected BF16, U16 (Paddle's bfloat16), "
                             "F16 or F32; convert the checkpoint to bfloat16",
                             quote_name(name), type),
                 name);
}

// Elements of a mapped file: any alignment.
template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

template <class From, class To>
void copy_rows(const std::byte* from, To* to, int64_t count) {
  if constexpr (std::is_same_v<From, To>)
    std::memcpy(to, from, count * sizeof(To));
  else
    for (int64_t i = 0; i < count; ++i)
      to[i] = from_float<To>(to_float(load<From>(from + i * sizeof(From))));
}

// to[r][c] = from[c * stride + r], in tiles that stay in the cache.
template <class From, class To>
void copy_transposed(const std::byte* from, int64_t stride, To* to, int64_t rows, int64_t columns) {
  constexpr int64_t kTile = 32;
  for (int64_t r0 = 0; r0 < rows; r0 += kTile)
    for (int64_t c0 = 0; c0 < columns; c0 += kTile)
      for (int64_t r = r0; r < std::min(r0 + kTile, rows); ++r)
        for (int64_t c = c0; c < std::min(c0 + kTile, columns); ++c)
          to[r * columns + c] =
              from_float<To>(to_float(load<From>(from + (c * stride + r) * sizeof(From))));
}

// Part of a matrix in place of it: what tensor parallelism leaves to each rank.
std::string hint_of_ranks(const Shape& found, const Shape& whole) {
  const int64_t ranks = found.elements() > 0 ? whole.elements() / found.elements() : 0;
  if (whole.rank() != 2 || found.rank() != 2 || (ranks != 2 && ranks != 4 && ranks != 8) ||
      found.elements() * ranks != whole.elements())
    return {};
  return fmt::format(
      "; a checkpoint cut for {} tensor-parallel ranks needs that many, and erne has one so far",
      ranks);
}

int64_t columns_of(const Shape& shape) {
  return shape.rank() == 1 ? 1 : shape[1];
}

}  // namespace

CheckpointSource::CheckpointSource(Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {
  const auto& tensors = checkpoint_.tensors();
  const auto first = tensors.lower_bound(kPaddlePrefix);
  paddle_prefix_ = first != tensors.end() && first->first.starts_with(kPaddlePrefix);
}

std::string CheckpointSource::spelled(const std::string& name) const {
  if (!paddle_prefix_ || !name.starts_with(kTorchPrefix)) return name;
  return std::string(kPaddlePrefix) + name.substr(kTorchPrefix.size());
}

Result<CheckpointSource> CheckpointSource::make(Checkpoint checkpoint,
                                                std::span<const TensorSpec> specs) {
  CheckpointSource source(std::move(checkpoint));
  Orientation seen{source.paddle_prefix_};
  for (const TensorSpec& spec : specs) {
    std::vector<Piece> pieces = TRY(source.find_pieces(spec));
    for (const Piece& piece : pieces) {
      if (piece.quantized) continue;  // checked while it was found
      TRY(float_of(piece.name, *piece.tensor));
      TRY(source.check_shape(spec, piece, seen));
    }
    source.pieces_.emplace(spec.name, std::move(pieces));
  }
  for (const TensorSpec& spec : specs)
    for (Piece& piece : source.pieces_.find(spec.name)->second) source.orient(spec, piece, seen);
  return source;
}

Result<std::optional<CheckpointSource::Piece>> CheckpointSource::find_piece(const TensorSpec& spec,
                                                                            const std::string& name,
                                                                            int64_t rows) const {
  Piece piece{name, nullptr, 0, rows, columns_of(spec.shape)};
  if (spec.kind == TensorKind::kLinear || spec.kind == TensorKind::kExpert)
    piece.quantized =
        TRY(QuantizedTensor::find(checkpoint_, name, rows, piece.columns, paddle_prefix_));
  if (!piece.quantized) piece.tensor = checkpoint_.find(name);
  if (!piece.quantized && piece.tensor == nullptr) return std::optional<Piece>();
  return std::optional(std::move(piece));
}

// With whatever is known of either name.
Status CheckpointSource::missing(const std::string& name, const std::string& fused) const {
  for (const std::string& either : {name, fused})
    if (const std::string why = checkpoint_.why_missing(either); !why.empty())
      return invalid(fmt::format("tensor {}: {}", quote_name(either), why), either);
  const bool has_adapter = std::ranges::any_of(checkpoint_.tensors(), [](const auto& tensor) {
    return tensor.first.find(".lora_") != std::string::npos;
  });
  return invalid(
      fmt::format(
          "tensor {}: found nowhere in {}{}{}", quote_name(name), checkpoint_.folder().string(),
          fused.empty() ? "" : fmt::format(", nor {}", quote_name(fused)),
          has_adapter ? "; the checkpoint holds a LoRA adapter that is not merged: merge it "
                        "into the model first (peft: merge_and_unload())"
                      : ""),
      name);
}

Result<std::vector<CheckpointSource::Piece>> CheckpointSource::find_pieces(
    const TensorSpec& spec) const {
  const std::string fused = spelled(spec.fused_source);
  if (auto whole = TRY(find_piece(spec, fused, spec.shape[0])))
    return std::vector<Piece>{std::move(*whole)};

  std::vector<Piece> pieces;
  int64_t row = 0;
  for (const TensorPart& part : spec.parts) {
    const std::string name = spelled(part.source);
    std::optional<Piece> piece = TRY(find_piece(spec, name, part.rows));
    if (!piece) return missing(name, fused);
    piece->first_row = row;
    pieces.push_back(std::move(*piece));
    row += part.rows;
  }
  CHECK_EQ(row, spec.shape[0]);
  return pieces;
}

Result<void> CheckpointSource::check_shape(const TensorSpec& spec, const Piece& piece,
                                           Orientation& seen) const {
  const Shape& found = piece.tensor->shape;
  const bool may_turn = turns_with_linears(spec.kind) || spec.kind == TensorKind::kHead;
  const Shape straight =
      spec.shape.rank() == 1 ? Shape{piece.rows} : Shape{piece.rows, piece.columns};
  const Shape turned{piece.columns, piece.rows};
  const bool is_turned = may_turn && found == turned;
  const bool is_row = spec.kind == TensorKind::kBias && found == Shape{1, piece.rows};
  const bool is_scale = spec.kind == TensorKind::kScale && found.elements() == straight.elements();
  if (found != straight && !is_turned && !is_row && !is_scale)
    return invalid(
        fmt::format("tensor {} in {}: shape: found {}, expected {}{}{}", quote_name(piece.name),
                    quote_name(piece.tensor->file), found.str(), straight.str(),
                    may_turn ? " or its transpose" : "", hint_of_ranks(found, straight)),
        piece.name);

  if (!turns_with_linears(spec.kind) || straight == turned) return {};
  if (seen.witness.empty()) {
    seen = {is_turned, piece.name};
  } else if (seen.transposed != is_turned) {
    return invalid(
        fmt::format("tensor {} in {}: shape: found {}, expected {}, since {} is stored {}",
                    quote_name(piece.name), quote_name(piece.tensor->file), found.str(),
                    (is_turned ? straight : turned).str(), quote_name(seen.witness),
                    seen.transposed ? "[in, out]" : "[out, in]"),
        piece.name);
  }
  return {};
}

void CheckpointSource::orient(const TensorSpec& spec, Piece& piece, const Orientation& seen) const {
  if (!turns_with_linears(spec.kind) && spec.kind != TensorKind::kHead) return;
  if (piece.quantized) return;
  const bool square = piece.rows == piece.columns;
  piece.transposed = square ? seen.transposed : piece.tensor->shape[0] == piece.columns;
}

Result<DType> CheckpointSource::stored_dtype(const TensorSpec& spec) {
  DType widest = DType::kBf16;
  for (const Piece& piece : pieces_.find(spec.name)->second)
    if (!piece.quantized && TRY(float_of(piece.name, *piece.tensor)) != StoredFloat::kBf16)
      widest = DType::kF32;  // holds a half exactly
  return widest;
}

bool CheckpointSource::is_quantized(const TensorSpec& spec) const {
  return std::ranges::any_of(pieces_.find(spec.name)->second,
                             [](const Piece& piece) { return piece.quantized.has_value(); });
}

bool CheckpointSource::has_codes_of(const TensorSpec& spec, const WeightFormat& format) const {
  return std::ranges::all_of(pieces_.find(spec.name)->second, [&](const Piece& piece) {
    return piece.quantized && piece.quantized->has_codes_of(format);
  });
}

// Rows of numbers in 8 bits or fewer become float32, and what `to` is.
template <class To>
void CheckpointSource::dequantize(const Piece& piece, int64_t begin, int64_t end, To* to) {
  if constexpr (std::is_same_v<To, float>) {
    piece.quantized->read_rows(begin, end - begin, to);
  } else {
    std::vector<float> rows((end - begin) * piece.columns);
    piece.quantized->read_rows(begin, end - begin, rows.data());
    std::ranges::transform(rows, to, to_bf16);
  }
}

template <class From, class To>
void CheckpointSource::copy(const Piece& piece, int64_t begin, int64_t end, To* to) {
  const int64_t stride = piece.transposed ? piece.rows : piece.columns;
  const int64_t row_bytes = stride * static_cast<int64_t>(sizeof(From));
  if (piece.transposed) {
    const std::byte* from = piece.tensor->data + begin * sizeof(From);
    copy_transposed<From>(from, stride, to, end - begin, piece.columns);
    if (end == piece.rows)
      drop_pages({piece.tensor->data, static_cast<size_t>(piece.columns * row_bytes)});
  } else {
    const std::byte* from = piece.tensor->data + begin * row_bytes;
    copy_rows<From>(from, to, (end - begin) * piece.columns);
    drop_pages({from, static_cast<size_t>((end - begin) * row_bytes)});
  }
}

Result<void> CheckpointSource::read_rows(const TensorSpec& spec, int64_t first_row,
                                         TensorView out) {
  const int64_t end_row = first_row + out.shape[0];
  CHECK_LE(end_row, spec.shape[0]);
  CHECK(out.dtype == DType::kBf16 || out.dtype == DType::kF32);
  for (const Piece& piece : pieces_.find(spec.name)->second) {
    const int64_t begin = std::max(first_row, piece.first_row);
    const int64_t end = std::min(end_row, piece.first_row + piece.rows);
    if (begin >= end) continue;
    const StoredFloat stored =
        piece.quantized ? StoredFloat::kF32 : TRY(float_of(piece.name, *piece.tensor));
    const auto copy_to = [&](auto* to) {
      to += (begin - first_row) * piece.columns;
      if (piece.quantized)
        dequantize(piece, begin - piece.first_row, end - piece.first_row, to);
      else if (stored == StoredFloat::kBf16)
        copy<Bf16>(piece, begin - piece.first_row, end - piece.first_row, to);
      else if (stored == StoredFloat::kF16)
        copy<Half>(piece, begin - piece.first_row, end - piece.first_row, to);
      else
        copy<float>(piece, begin - piece.first_row, end - piece.first_row, to);
    };
    if (out.dtype == DType::kBf16)
      copy_to(out.as<Bf16>());
    else
      copy_to(out.as<float>());
  }
  return {};
}

Result<void> CheckpointSource::read_encoded(const TensorSpec& spec, int64_t first_row,
                                            EncodedRows& out) {
  const int64_t end_row = first_row + out.count;
  CHECK_LE(end_row, spec.shape[0]);
  for (const Piece& piece : pieces_.find(spec.name)->second) {
    const int64_t begin = std::max(first_row, piece.first_row);
    const int64_t end = std::min(end_row, piece.first_row + piece.rows);
    if (begin < end)
      TRY(piece.quantized->read_encoded(begin - piece.first_row, end - begin, out,
                                        begin - first_row));
  }
  return {};
}

std::string CheckpointSource::identity() const {
  return checkpoint_.identity(std::time(nullptr));
}

std::vector<std::string> CheckpointSource::unused() const {
  std::set<std::string_view> used;
  for (const auto& [name, pieces] : pieces_)
    for (const Piece& piece : pieces) {
      used.insert(piece.name);
      if (piece.quantized)
        used.insert(piece.quantized->names().begin(), piece.quantized->names().end());
    }
  std::vector<std::string> out;
  for (const auto& [name, tensor] : checkpoint_.tensors())
    if (!used.contains(name)) out.push_back(name);
  std::ranges::copy(checkpoint_.unreadable(), std::back_inserter(out));
  std::ranges::sort(out);
  return out;
}

bool CheckpointSource::holds_float16() const {
  for (const auto& [name, pieces] : pieces_)
    for (const Piece& piece : pieces)
      if (piece.tensor != nullptr && std::string_view(piece.tensor->type->name) == "F16")
        return true;
  return false;
}

}  // namespace erne::weights
