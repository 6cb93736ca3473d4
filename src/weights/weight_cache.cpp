#include "weights/weight_cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <string>

#include "base/hash.h"
#include "base/log.h"
#include "weights/mapped_file.h"
#include "weights/safetensors_header.h"
#include "weights/safetensors_writer.h"

namespace erne::weights {
namespace {

constexpr const char* kKeyTensor = "key";

// Everything that the bytes of packed weights depend on.
std::string key_of(const Backend& backend, const WeightSource& source,
                   std::span<const WeightPlan> plans) {
  std::string key = fmt::format("{}\n{}", backend.packed_order(), source.identity());
  for (const WeightPlan& plan : plans)
    key += fmt::format("{} {} {} {}\n", plan.spec->name, plan.spec->shape.str(),
                       dtype_name(plan.dtype), plan.format ? plan.format->name : "vector");
  return key;
}

// ---- reading ----

class CacheFile {
 public:
  // kNotFound: there is none.
  static Result<CacheFile> open(const std::filesystem::path& path, std::string_view key) {
    CacheFile cache(TRY(MappedFile::open(path)));
    const auto file = cache.file_.bytes();
    for (StoredTensor& tensor : TRY(parse_safetensors_header(file)))
      cache.tensors_.emplace(std::move(tensor.name),
                             file.subspan(tensor.begin, tensor.end - tensor.begin));
    const auto found = TRY(cache.find(kKeyTensor, key.size()));
    if (std::memcmp(found.data(), key.data(), key.size()) != 0)
      return invalid("it was made from something else");
    return cache;
  }

  // Copies a tensor's bytes, some at a time, and lets go of the pages it has read.
  Result<void> read(const std::string& name, std::span<std::byte> to) const {
    constexpr size_t kStep = 4 << 20;
    const std::span<const std::byte> from = TRY(find(name, to.size()));
    for (size_t at = 0; at < from.size(); at += kStep) {
      const auto part = from.subspan(at, std::min(kStep, from.size() - at));
      std::memcpy(to.data() + at, part.data(), part.size());
      drop_pages(part);
    }
    return {};
  }

 private:
  explicit CacheFile(MappedFile file) : file_(std::move(file)) {}

  Result<std::span<const std::byte>> find(const std::string& name, size_t bytes) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end() || found->second.size() != bytes)
      return invalid(
          fmt::format(
              "tensor {}: found {}, expected {} bytes", quote_name(name),
              found == tensors_.end() ? "none" : fmt::format("{} bytes", found->second.size()),
              bytes),
          name);
    return found->second;
  }

  MappedFile file_;
  std::map<std::string, std::span<const std::byte>> tensors_;
};

Result<WeightStore> read_cache(Backend& backend, std::span<const WeightPlan> plans,
                               const LoadOptions& options, const std::filesystem::path& path,
                               std::string_view key) {
  const CacheFile file = TRY(CacheFile::open(path, key));
  WeightStore store(backend, plans, options.quantize_activations);
  size_t done = 0;
  for (const WeightPlan& plan : plans) {
    TRY(file.read(plan.spec->name, store.memory(plan)));
    if (options.progress) options.progress(++done, plans.size());
  }
  return store;
}

// ---- writing ----

SafetensorsHeader header_of(std::span<const WeightPlan> plans, std::string_view key) {
  SafetensorsHeader header;
  const auto add = [&](const std::string& name, size_t size) {
    const auto bytes = static_cast<int64_t>(size);
    header.add(name, "U8", {bytes}, bytes);
  };
  add(kKeyTensor, key.size());
  for (const WeightPlan& plan : plans) add(plan.spec->name, plan.bytes);
  return header;
}

Result<void> write_cache(const WeightStore& store, std::span<const WeightPlan> plans,
                         const std::filesystem::path& path, std::string_view key) {
  std::error_code problem;
  std::filesystem::create_directories(path.parent_path(), problem);
  if (problem) return invalid(problem.message());
  const std::filesystem::path unfinished =
      fmt::format("{}.{}.unfinished", path.string(), ::getpid());
  std::ofstream out(unfinished, std::ios::binary);
  header_of(plans, key).write(out);
  out << key;
  for (const WeightPlan& plan : plans) {
    const std::span<const std::byte> bytes = store.memory(plan);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
  }
  out.close();
  if (out) std::filesystem::rename(unfinished, path, problem);
  if (out && !problem) return {};
  const Status failure = invalid(problem ? problem.message() : std::strerror(errno));
  std::filesystem::remove(unfinished, problem);
  return failure;
}

}  // namespace

Result<WeightStore> load_cached_weights(Backend& backend, WeightSource& source,
                                        std::span<const TensorSpec> specs,
                                        const LoadOptions& options,
                                        const std::filesystem::path& folder) {
  const std::vector<WeightPlan> plans = TRY(plan_weights(backend, source, specs, options));
  const std::string key = key_of(backend, source, plans);
  const std::filesystem::path path =
      folder / fmt::format("{:016x}.safetensors", hash_bytes(key.data(), key.size(), 0));
  auto cached = read_cache(backend, plans, options, path, key);
  if (cached.ok()) {
    log_info("weight cache: read {}", path.string());
    return cached;
  }
  if (cached.status().code != Code::kNotFound)
    log_warning("weight cache: {} is made anew: {}", path.string(), cached.status().message);
  WeightStore store = TRY(load_weights(backend, source, specs, options));
  if (const auto written = write_cache(store, plans, path, key); written.ok())
    log_info("weight cache: wrote {}, {:.1f} MB", path.string(), store.bytes() / 1e6);
  else
    log_warning(
        "weight cache: cannot write {}: {}; name a folder that can be written with "
        "--weight-cache",
        path.string(), written.status().message);
  return store;
}

}  // namespace erne::weights
