#include "weights/packed_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "weights/content_hash.h"
#include "weights/new_file.h"
#include "weights/safetensors_writer.h"

namespace erne::weights {
namespace {

constexpr const char* kHeader = "header";  // no tensor; a name for its checksum
constexpr const char* kKeyTensor = "key";
constexpr const char* kChecksumTensor = "checksums";

size_t padding(size_t bytes) {
  return (kWeightAlignment - bytes % kWeightAlignment) % kWeightAlignment;
}

// One of the header, one of the key, one of each weight, and one of the checksums before it.
int64_t checksums_of(size_t weights) {
  return static_cast<int64_t>(weights) + 3;
}

const char* stored_type(const WeightPlan& plan) {
  if (plan.format && plan.format->is_quantized()) return "U8";
  return plan.dtype == DType::kBf16 ? "BF16" : "F32";
}

// Padding is part of the tensors: the format has no gaps.
SafetensorsHeader header_of(std::span<const WeightPlan> plans, std::string_view key) {
  SafetensorsHeader header;
  const auto add = [&](const std::string& name, const char* type, size_t size, size_t element) {
    const auto bytes = static_cast<int64_t>(size + padding(size));
    header.add(name, type, {bytes / static_cast<int64_t>(element)}, bytes);
  };
  add(kKeyTensor, "U8", key.size(), 1);
  for (const WeightPlan& plan : plans) {
    const char* type = stored_type(plan);
    add(plan.spec->name, type, plan.bytes, *type == 'U' ? 1 : dtype_bytes(plan.dtype));
  }
  header.add(kChecksumTensor, "U64", {checksums_of(plans.size())},
             checksums_of(plans.size()) * int64_t{sizeof(uint64_t)});
  return header;
}

// Writes what is hashed, and the hashes last.
class ChecksummedWriter {
 public:
  explicit ChecksummedWriter(NewFile& file) : file_(file) {}

  // What is written is a multiple of kWeightAlignment, and hashed as it is written.
  Result<void> add(std::string_view name, std::span<const std::byte> bytes) {
    const auto whole = bytes.first(bytes.size() / kHashStep * kHashStep);
    const auto tail = bytes.subspan(whole.size());
    std::vector<std::byte> rest(tail.size() + padding(tail.size()));
    std::copy(tail.begin(), tail.end(), rest.begin());
    ContentHash hash(name);
    for_each_step(whole, [&](auto step) { hash.add(step); });
    for_each_step(rest, [&](auto step) { hash.add(step); });
    checksums_.push_back(hash.value());
    TRY(file_.write(whole));
    return file_.write(rest);
  }
  Result<void> finish() {
    const auto bytes = std::as_bytes(std::span(checksums_));
    checksums_.push_back(content_hash(kChecksumTensor, bytes));
    TRY(file_.write(std::as_bytes(std::span(checksums_))));
    return file_.finish();
  }

 private:
  NewFile& file_;
  std::vector<uint64_t> checksums_;
};

Result<void> write_all(
    NewFile& file, std::span<const WeightPlan> plans, std::string_view key,
    const std::function<Result<std::span<const std::byte>>(const WeightPlan&)>& bytes_of) {
  std::ostringstream stream;
  header_of(plans, key).write(stream, kWeightAlignment);
  const std::string header = stream.str();
  ChecksummedWriter out(file);
  TRY(out.add(kHeader, std::as_bytes(std::span(header))));
  TRY(out.add(kKeyTensor, std::as_bytes(std::span(key))));
  for (const WeightPlan& plan : plans) {
    const auto bytes = TRY(bytes_of(plan));
    CHECK_EQ(bytes.size(), plan.bytes);
    TRY(out.add(plan.spec->name, bytes));
  }
  return out.finish();
}

Status damaged(const std::string& what) {
  return invalid(fmt::format("{} is damaged: its checksum is not that of its bytes", what));
}

Status damaged_tensor(const std::string& name) {
  return invalid(damaged("tensor " + quote_name(name)).message, name);
}

}  // namespace

Result<PackedFile> PackedFile::open(const std::filesystem::path& path) {
  PackedFile packed(TRY(MappedFile::open(path)));
  const auto tensors = TRY(parse_safetensors_header(packed.file_.bytes()));
  TRY(packed.read_checksums(tensors));
  return packed;
}

Result<void> PackedFile::read_checksums(std::span<const StoredTensor> tensors) {
  const auto file = file_.bytes();
  const auto bytes_of = [&](const StoredTensor& tensor) {
    return file.subspan(tensor.begin, tensor.end - tensor.begin);
  };
  if (tensors.size() < 2 || tensors.front().name != kKeyTensor ||
      tensors.back().name != kChecksumTensor)
    return invalid("it has no checksums: an older erne made it, or something else");
  const auto stored = bytes_of(tensors.back());
  std::vector<uint64_t> checksums(stored.size() / sizeof(uint64_t));
  if (std::ssize(checksums) != checksums_of(tensors.size() - 2))
    return invalid(fmt::format("found {} checksums, expected {}", checksums.size(),
                               checksums_of(tensors.size() - 2)));
  std::memcpy(checksums.data(), stored.data(), checksums.size() * sizeof(uint64_t));
  if (content_hash(kChecksumTensor, stored.first(stored.size() - sizeof(uint64_t))) !=
      checksums.back())
    return damaged("the list of checksums");
  if (content_hash(kHeader, file.first(tensors.front().begin)) != checksums[0])
    return damaged("the header");
  const auto key = bytes_of(tensors.front());
  if (content_hash(kKeyTensor, key) != checksums[1]) return damaged("the key");
  key_.assign(reinterpret_cast<const char*>(key.data()), key.size());
  key_.resize(key_.find_last_not_of('\0') + 1);
  for (size_t i = 1; i + 1 < tensors.size(); ++i)
    weights_.emplace(tensors[i].name,
                     Entry{tensors[i].type, bytes_of(tensors[i]), checksums[i + 1]});
  return {};
}

const StoredType* PackedFile::type(const std::string& name) const {
  const auto found = weights_.find(name);
  return found == weights_.end() ? nullptr : found->second.type;
}

Result<const PackedFile::Entry*> PackedFile::entry(const std::string& name, size_t bytes) const {
  const auto found = weights_.find(name);
  const size_t stored = bytes + padding(bytes);
  if (found == weights_.end() || found->second.bytes.size() != stored)
    return invalid(
        fmt::format(
            "tensor {}: found {}, expected {} bytes", quote_name(name),
            found == weights_.end() ? "none" : fmt::format("{} bytes", found->second.bytes.size()),
            stored),
        name);
  return &found->second;
}

Result<std::span<const std::byte>> PackedFile::find(const std::string& name, size_t bytes) const {
  return TRY(entry(name, bytes))->bytes.first(bytes);
}

Result<void> PackedFile::verify(const std::string& name, size_t bytes) const {
  const Entry& weight = *TRY(entry(name, bytes));
  if (content_hash(name, weight.bytes) != weight.checksum) return damaged_tensor(name);
  return {};
}

Result<void> PackedFile::read(const std::string& name, Backend& backend, DeviceSpan to) const {
  const Entry& weight = *TRY(entry(name, to.bytes));
  ContentHash hash(name);
  size_t at = 0;
  for_each_step(weight.bytes, [&](auto step) {
    hash.add(step);
    const auto part = step.first(std::min(step.size(), to.bytes - at));  // without padding
    backend.upload(part, {to.data + static_cast<int64_t>(at), part.size()});
    at += part.size();
    drop_pages(step);
  });
  if (hash.value() != weight.checksum) return damaged_tensor(name);
  return {};
}

Result<WeightStore> read_weights(const PackedFile& file, Backend& backend,
                                 std::span<const WeightPlan> plans, const LoadOptions& options) {
  WeightStore store(backend, plans, options.quantize_activations);
  size_t done = 0;
  for (const WeightPlan& plan : plans) {
    TRY(file.read(plan.spec->name, backend, store.memory(plan)));
    if (options.progress) options.progress(++done, plans.size());
  }
  return store;
}

Result<void> write_packed_file(
    const std::filesystem::path& path, std::span<const WeightPlan> plans, std::string_view key,
    const std::function<Result<std::span<const std::byte>>(const WeightPlan&)>& bytes_of) {
  std::error_code problem;
  std::filesystem::create_directories(path.parent_path(), problem);
  if (problem) return invalid(problem.message());
  NewFile file = TRY(NewFile::create(path));
  return write_all(file, plans, key, bytes_of);
}

}  // namespace erne::weights
