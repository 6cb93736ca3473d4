#include "weights/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "weights/safetensors_header.h"

namespace erne::weights {
namespace {

int64_t row_elements(const Shape& shape) {
  return shape.rank() == 2 ? shape[1] : 1;
}

Shape shape_of(int64_t rows, const Shape& like, int64_t columns) {
  return like.rank() == 2 ? Shape{rows, columns} : Shape{rows};
}

Status uneven(const TensorSpec& spec, int64_t size, const char* what, Rank rank) {
  return invalid(fmt::format("tensor {}: {} {}, in wholes of {}, are no {} equal shares",
                             quote_name(spec.name), size, what, spec.shard.unit, rank.count),
                 spec.name);
}

bool has_shares(int64_t size, const TensorSpec& spec, Rank rank) {
  return size % (spec.shard.unit * rank.count) == 0;
}

Result<TensorSpec> share_of(const TensorSpec& whole, Rank rank) {
  TensorSpec share = whole;
  const int64_t columns = row_elements(whole.shape);
  switch (whole.shard.kind) {
    case Shard::kWhole:
      break;
    case Shard::kRows: {
      int64_t rows = 0;
      for (TensorPart& part : share.parts) {
        if (!has_shares(part.rows, whole, rank)) return uneven(whole, part.rows, "rows", rank);
        rows += part.rows /= rank.count;
      }
      share.shape = shape_of(rows, whole.shape, columns);
      break;
    }
    case Shard::kColumns:
      if (!has_shares(columns, whole, rank)) return uneven(whole, columns, "columns", rank);
      share.shape = shape_of(whole.shape[0], whole.shape, columns / rank.count);
      break;
  }
  return share;
}

// Rows of a share that lie together in the whole tensor.
struct RowRun {
  int64_t share_row, whole_row, count;
};

// The runs that make up rows [first, first + count) of a share.
std::vector<RowRun> runs_of(const TensorSpec& whole, Rank rank, int64_t first, int64_t count) {
  if (whole.shard.kind != Shard::kRows) return {{first, first, count}};
  std::vector<RowRun> runs;
  int64_t share_begin = 0, whole_begin = 0;
  for (const TensorPart& part : whole.parts) {
    const int64_t rows = part.rows / rank.count;
    const int64_t begin = std::max(first, share_begin);
    const int64_t end = std::min(first + count, share_begin + rows);
    if (begin < end)
      runs.push_back({begin, whole_begin + rank.index * rows + (begin - share_begin), end - begin});
    share_begin += rows;
    whole_begin += part.rows;
  }
  return runs;
}

// Rows of `to` from to_row on become the columns of `from` that begin at `column`.
void copy_encoded(const EncodedRows& from, int64_t column, EncodedRows& to, int64_t to_row) {
  for (int64_t row = 0; row < from.count; ++row)
    from.format->rules().take_columns(from, row, column, to, to_row + row);
}

}  // namespace

Result<std::vector<TensorSpec>> share_of(std::span<const TensorSpec> specs, Rank rank) {
  CHECK(rank.index >= 0 && rank.index < rank.count);
  std::vector<TensorSpec> shares;
  for (const TensorSpec& spec : specs) shares.push_back(TRY(share_of(spec, rank)));
  return shares;
}

ShardedSource::ShardedSource(WeightSource& source, std::span<const TensorSpec> whole, Rank rank)
    : source_(source), rank_(rank) {
  for (const TensorSpec& spec : whole) whole_.emplace(spec.name, &spec);
}

const TensorSpec& ShardedSource::whole(const TensorSpec& share) const {
  const auto found = whole_.find(share.name);
  CHECK(found != whole_.end());
  return *found->second;
}

Result<DType> ShardedSource::stored_dtype(const TensorSpec& spec) {
  return source_.stored_dtype(whole(spec));
}

bool ShardedSource::is_quantized(const TensorSpec& spec) const {
  return source_.is_quantized(whole(spec));
}

// Not where the share begins inside of a group: its values are then encoded anew.
bool ShardedSource::has_codes_of(const TensorSpec& spec, const WeightFormat& format) const {
  const TensorSpec& all = whole(spec);
  return source_.has_codes_of(all, format) &&
         (all.shard.kind != Shard::kColumns ||
          rank_.index * spec.shape[1] % format.rules().column_unit(format) == 0);
}

// A share of a drawn matrix is no matrix of the same draw.
std::optional<RandomMatrix> ShardedSource::random_matrix(const TensorSpec& spec) {
  if (rank_.count > 1) return {};
  return source_.random_matrix(whole(spec));
}

Result<void> ShardedSource::read_rows(const TensorSpec& spec, int64_t first_row, TensorView out) {
  const TensorSpec& all = whole(spec);
  const auto share_row = static_cast<int64_t>(row_elements(spec.shape) * dtype_bytes(out.dtype));
  for (const RowRun& run : runs_of(all, rank_, first_row, out.shape[0])) {
    std::byte* const to = out.as<std::byte>() + (run.share_row - first_row) * share_row;
    TensorView rows{to, out.dtype, shape_of(run.count, all.shape, row_elements(all.shape))};
    if (all.shard.kind != Shard::kColumns) {
      TRY(source_.read_rows(all, run.whole_row, rows));
      continue;
    }
    std::vector<std::byte> whole_rows(rows.bytes());
    rows.data = whole_rows.data();
    TRY(source_.read_rows(all, run.whole_row, rows));
    for (int64_t row = 0; row < run.count; ++row)
      std::memcpy(to + row * share_row, &whole_rows[(row * rank_.count + rank_.index) * share_row],
                  share_row);
  }
  return {};
}

Result<void> ShardedSource::read_encoded(const TensorSpec& spec, int64_t first_row,
                                         EncodedRows& out) {
  const TensorSpec& all = whole(spec);
  const bool by_columns = all.shard.kind == Shard::kColumns;
  for (const RowRun& run : runs_of(all, rank_, first_row, out.count)) {
    EncodedRows rows(*out.format, run.count, all.shape[1]);
    TRY(source_.read_encoded(all, run.whole_row, rows));
    copy_encoded(rows, by_columns ? rank_.index * out.in : 0, out, run.share_row - first_row);
  }
  return {};
}

std::string ShardedSource::identity() const {
  const std::string whole = source_.identity();
  if (rank_.count == 1 || whole.empty()) return whole;
  return fmt::format("{}rank {} of {}\n", whole, rank_.index, rank_.count);
}

uint64_t ShardedSource::fingerprint() const {
  const uint64_t whole = source_.fingerprint();
  if (rank_.count == 1) return whole;
  return hash_combine(hash_combine(whole, static_cast<uint64_t>(rank_.index)),
                      static_cast<uint64_t>(rank_.count));
}

}  // namespace erne::weights
