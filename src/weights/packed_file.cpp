#include "weights/packed_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "weights/safetensors_writer.h"

namespace erne::weights {
namespace {

constexpr const char* kKeyTensor = "key";
constexpr size_t kAlignment = 64;

size_t padding(size_t bytes) {
  return (kAlignment - bytes % kAlignment) % kAlignment;
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
  return header;
}

void write_padded(std::ostream& out, std::span<const std::byte> bytes) {
  constexpr std::array<char, kAlignment> kZeros = {};
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.write(kZeros.data(), static_cast<std::streamsize>(padding(bytes.size())));
}

Result<void> write_all(
    std::ostream& out, std::span<const WeightPlan> plans, std::string_view key,
    const std::function<Result<std::span<const std::byte>>(const WeightPlan&)>& bytes_of) {
  header_of(plans, key).write(out, kAlignment);
  write_padded(out, std::as_bytes(std::span(key)));
  for (const WeightPlan& plan : plans) {
    const auto bytes = TRY(bytes_of(plan));
    CHECK_EQ(bytes.size(), plan.bytes);
    write_padded(out, bytes);
    if (!out) return Status{Code::kInternal, std::strerror(errno), {}};
  }
  return {};
}

}  // namespace

Result<PackedFile> PackedFile::open(const std::filesystem::path& path) {
  PackedFile packed(TRY(MappedFile::open(path)));
  const auto file = packed.file_.bytes();
  for (StoredTensor& tensor : TRY(parse_safetensors_header(file))) {
    const auto bytes = file.subspan(tensor.begin, tensor.end - tensor.begin);
    if (tensor.name == kKeyTensor)
      packed.key_.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    else
      packed.weights_.emplace(std::move(tensor.name), Entry{tensor.type, bytes});
  }
  packed.key_.resize(packed.key_.find_last_not_of('\0') + 1);
  return packed;
}

const StoredType* PackedFile::type(const std::string& name) const {
  const auto found = weights_.find(name);
  return found == weights_.end() ? nullptr : found->second.type;
}

Result<std::span<const std::byte>> PackedFile::find(const std::string& name, size_t bytes) const {
  const auto found = weights_.find(name);
  const size_t stored = bytes + padding(bytes);
  if (found == weights_.end() || found->second.bytes.size() != stored)
    return invalid(
        fmt::format(
            "tensor {}: found {}, expected {} bytes", quote_name(name),
            found == weights_.end() ? "none" : fmt::format("{} bytes", found->second.bytes.size()),
            stored),
        name);
  return found->second.bytes.first(bytes);
}

Result<void> PackedFile::read(const std::string& name, Backend& backend, DeviceSpan to) const {
  constexpr size_t kStep = 4 << 20;
  const std::span<const std::byte> from = TRY(find(name, to.bytes));
  for (size_t at = 0; at < from.size(); at += kStep) {
    const auto part = from.subspan(at, std::min(kStep, from.size() - at));
    backend.upload(part, {to.data + static_cast<int64_t>(at), part.size()});
    drop_pages(part);
  }
  return {};
}

Result<void> write_packed_file(
    const std::filesystem::path& path, std::span<const WeightPlan> plans, std::string_view key,
    const std::function<Result<std::span<const std::byte>>(const WeightPlan&)>& bytes_of) {
  std::error_code problem;
  std::filesystem::create_directories(path.parent_path(), problem);
  if (problem) return invalid(problem.message());
  const std::filesystem::path unfinished =
      fmt::format("{}.{}.unfinished", path.string(), ::getpid());
  std::ofstream out(unfinished, std::ios::binary);
  if (!out) return invalid(std::strerror(errno));
  Result<void> written = write_all(out, plans, key, bytes_of);
  out.close();
  if (written.ok() && !out) written = invalid(std::strerror(errno));
  if (written.ok()) {
    std::filesystem::rename(unfinished, path, problem);
    if (!problem) return {};
    written = invalid(problem.message());
  }
  std::filesystem::remove(unfinished, problem);
  return written;
}

}  // namespace erne::weights
