#include "weights/packed_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "backend/readback.h"
#include "base/log.h"

namespace erne::weights {
namespace {

// Everything but the weights themselves that a reader must agree with.
std::string key_of(const Backend& backend, std::span<const WeightPlan> plans) {
  std::string key = fmt::format("erne quantize\n{}\n", backend.packed_order());
  for (const WeightPlan& plan : plans)
    key += fmt::format("{} {} {}\n", plan.spec->name, plan.spec->shape.str(),
                       plan.format ? plan.format->name : dtype_name(plan.dtype));
  return key;
}

// The first line in which two keys differ.
std::string difference(std::string_view found, std::string_view expected) {
  const auto line_of = [](std::string_view text, size_t at) {
    const size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
    return std::string(text.substr(begin, text.find('\n', at) - begin));
  };
  const auto [f, e] = std::ranges::mismatch(found, expected);
  const auto at = static_cast<size_t>(f - found.begin());
  return fmt::format("it holds {}, expected is {}", quote_name(line_of(found, at)),
                     quote_name(line_of(expected, at)));
}

// Knows the types of a file's weights; nothing is read through it.
class TypesOfFile final : public WeightSource {
 public:
  explicit TypesOfFile(const PackedFile& file) : file_(file) {}
  Result<DType> stored_dtype(const TensorSpec& spec) override {
    const StoredType* type = file_.type(spec.name);
    return type != nullptr && std::string_view(type->name) == "F32" ? DType::kF32 : DType::kBf16;
  }
  Result<void> read_rows(const TensorSpec& spec, int64_t, TensorView) override {
    check_failed(__FILE__, __LINE__, "a source to read from", spec.name);
  }
  std::string identity() const override { return {}; }
  uint64_t fingerprint() const override { return 0; }

 private:
  const PackedFile& file_;
};

// Memory of our own lies on huge pages, from which decoding is a few percent faster; a mapped file
// costs no time to load and shares its memory with the system's copy.
constexpr double kLargestCopiedShare = 0.5;

bool is_worth_copying(const Backend& backend, std::span<const WeightPlan> plans) {
  if (!backend.reads_host_memory()) return true;
  size_t bytes = 0;
  for (const WeightPlan& plan : plans) bytes += plan.bytes;
  return static_cast<double>(bytes) <=
         kLargestCopiedShare * static_cast<double>(backend.memory().available_bytes);
}

Status made_again(const std::filesystem::path& path, const Status& why) {
  if (why.code == Code::kNotFound) return why;
  return {why.code,
          fmt::format("{}: {}; make it again with erne quantize", path.string(), why.message),
          why.param};
}

Result<WeightStore> map(Backend& backend, std::span<const WeightPlan> plans,
                        const LoadOptions& options, PackedFile file) {
  auto owner = std::make_shared<PackedFile>(std::move(file));
  WeightStore store(owner, plans, options.quantize_activations);
  size_t done = 0;
  for (const WeightPlan& plan : plans) {
    TRY(owner->verify(plan.spec->name, plan.bytes));
    const auto bytes = TRY(owner->find(plan.spec->name, plan.bytes));
    TRY(store.add_in_place(backend, plan, bytes));
    if (options.progress) options.progress(++done, plans.size());
  }
  return store;
}

}  // namespace

Result<size_t> write_packed_checkpoint(Backend& backend, WeightSource& source,
                                       std::span<const TensorSpec> specs,
                                       const LoadOptions& options,
                                       const std::filesystem::path& file) {
  const std::vector<WeightPlan> plans = TRY(plan_weights(backend, source, specs, options));
  LoadOptions quiet = options;
  quiet.progress = {};
  std::optional<WeightStore> one;
  Readback readback(backend);
  size_t done = 0, bytes = 0;
  const auto pack = [&](const WeightPlan& plan) -> Result<std::span<const std::byte>> {
    one = TRY(load_planned_weights(backend, source, {&plan, 1}, quiet));
    if (options.progress) options.progress(++done, plans.size());
    bytes += plan.bytes;
    return std::span<const std::byte>(readback.read(one->memory(plan)));
  };
  TRY(write_packed_file(file, plans, key_of(backend, plans), pack));
  return bytes;
}

Result<WeightStore> load_packed_checkpoint(Backend& backend, std::span<const TensorSpec> specs,
                                           const LoadOptions& options,
                                           const std::filesystem::path& path, Residence residence) {
  auto opened = PackedFile::open(path);
  if (!opened) return made_again(path, opened.status());
  PackedFile file = std::move(opened).value();
  TypesOfFile types(file);
  const std::vector<WeightPlan> plans = TRY(plan_weights(backend, types, specs, options));
  if (const std::string key = key_of(backend, plans); file.key() != key)
    return made_again(path, invalid(difference(file.key(), key)));
  const bool copies = residence == Residence::kAuto ? is_worth_copying(backend, plans)
                                                    : residence == Residence::kCopied;
  log_info("weights: {} {}", path.string(),
           copies ? "read into memory" : "stays mapped: the system keeps in memory what is used");
  auto store = copies ? read_weights(file, backend, plans, options)
                      : map(backend, plans, options, std::move(file));
  if (!store) return made_again(path, store.status());
  return store;
}

}  // namespace erne::weights
