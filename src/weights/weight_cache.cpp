#include "weights/weight_cache.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "backend/readback.h"
#include "base/hash.h"
#include "base/log.h"
#include "weights/fingerprint_memo.h"
#include "weights/new_file.h"
#include "weights/packed_file.h"

namespace erne::weights {
namespace {

// Everything that the bytes of packed weights depend on.
std::string key_of(const Backend& backend, uint64_t fingerprint,
                   std::span<const WeightPlan> plans) {
  std::string key = fmt::format("{}\nholds {:016x}\n", backend.packed_order(), fingerprint);
  for (const WeightPlan& plan : plans)
    key += fmt::format("{} {} {} {}\n", plan.spec->name, plan.spec->shape.str(),
                       dtype_name(plan.dtype), plan.format ? plan.format->name : "vector");
  return key;
}

Result<WeightStore> read_cache(Backend& backend, std::span<const WeightPlan> plans,
                               const LoadOptions& options, const std::filesystem::path& path,
                               std::string_view key) {
  const PackedFile file = TRY(PackedFile::open(path));
  if (file.key() != key) return invalid("it was made from something else");
  return read_weights(file, backend, plans, options);
}

}  // namespace

Result<WeightStore> load_cached_weights(Backend& backend, WeightSource& source,
                                        std::span<const TensorSpec> specs,
                                        const LoadOptions& options,
                                        const std::filesystem::path& folder) {
  const std::vector<WeightPlan> plans = TRY(plan_weights(backend, source, specs, options));
  remove_unfinished(folder);
  const std::string key = key_of(backend, remembered_fingerprint(source, folder), plans);
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
  Readback readback(backend);
  const auto written = write_packed_file(path, plans, key, [&](const WeightPlan& plan) {
    return std::span<const std::byte>(readback.read(store.memory(plan)));
  });
  if (written.ok())
    log_info("weight cache: wrote {}, {:.1f} MB", path.string(), store.bytes() / 1e6);
  else
    log_warning(
        "weight cache: cannot write {}: {}; name a folder that can be written with "
        "--weight-cache",
        path.string(), written.status().message);
  return store;
}

}  // namespace erne::weights
