#include "model/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <functional>

#include "base/log.h"
#include "model/calibration.h"
#include "model/ernie_text.h"
#include "model/tensor_specs.h"
#include "weights/checkpoint_source.h"
#include "weights/packed_checkpoint.h"
#include "weights/random_source.h"
#include "weights/weight_cache.h"

namespace erne::model {
namespace {

template <class T>
std::unique_ptr<Model> make(const ErnieConfig& config, Backend& backend, DType activation,
                            weights::WeightStore weights) {
  return std::make_unique<T>(config, backend, activation, std::move(weights));
}

constexpr std::array<Architecture, 3> kArchitectures = {{
    {"Ernie4_5ForCausalLM", false, text_tensor_specs, make<ErnieText>},
    {"Ernie4_5_ForCausalLM", false, text_tensor_specs, make<ErnieText>},  // Baidu's older spelling
    {"Ernie4_5_MoeForCausalLM", true, text_tensor_specs, make<ErnieText>},
}};

// Nothing in a checkpoint is passed over in silence.
void report_unused(const ErnieConfig& config, const std::vector<std::string>& unused) {
  constexpr size_t kListed = 20;
  std::vector<std::string> known, unknown;
  for (const std::string& name : unused)
    (is_known_unused(config, name) ? known : unknown).push_back(weights::quote_name(name));
  if (!known.empty())
    log_info("{} tensors of the checkpoint are not needed (multi-token predictor, tied head)",
             known.size());
  if (unknown.empty()) return;
  const size_t count = unknown.size();
  if (count > kListed) unknown.resize(kListed);
  log_warning("{} tensors of the checkpoint are not used by {}: {}{}", count, config.architecture,
              fmt::join(unknown, ", "), count > kListed ? ", ..." : "");
}

using Load = std::function<Result<void>(weights::WeightSource& source,
                                        const std::vector<weights::TensorSpec>&)>;

// Calls load() with the tensors of a folder's checkpoint.
Result<void> with_checkpoint(const Architecture& architecture, const std::filesystem::path& folder,
                             ErnieConfig& config, const Load& load) {
  weights::Checkpoint checkpoint = TRY(weights::Checkpoint::open(folder));
  if (!config.tie_is_stated)
    config.tie_word_embeddings = checkpoint.find("lm_head.weight") == nullptr;
  config.calibration = TRY(find_calibration(config, checkpoint));
  const auto specs = architecture.tensor_specs(config);
  auto source = TRY(weights::CheckpointSource::make(std::move(checkpoint), specs));
  report_unused(config, source.unused());
  return load(source, specs);
}

// Likewise, or with random ones.
Result<void> with_weights(const Architecture& architecture, const std::filesystem::path& folder,
                          std::optional<uint64_t> seed, ErnieConfig& config, const Load& load) {
  if (!seed) return with_checkpoint(architecture, folder, config, load);
  weights::RandomSource source(*seed);
  return load(source, architecture.tensor_specs(config));
}

weights::LoadOptions load_options(const ModelOptions& options, const ErnieConfig& config,
                                  const QuantizationScheme* scheme) {
  return {options.activation, options.progress,
          scheme ? scheme->formats(config.has_experts()) : Quantization(),
          options.quantize_activations};
}

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

Result<const Architecture*> find_architecture(std::string_view name) {
  std::vector<std::string_view> built;
  for (const Architecture& architecture : kArchitectures) {
    if (name == architecture.name) return &architecture;
    built.push_back(architecture.name);
  }
  const std::string allowed = fmt::format("{}", fmt::join(built, ", "));
  if (name.starts_with("Ernie4_5"))
    return unsupported(fmt::format("architectures: {} is an ERNIE-4.5 model that is not built yet; "
                                   "built are {}",
                                   weights::quote_name(name), allowed),
                       "architectures");
  return invalid(fmt::format("architectures: found {}, expected one of {}",
                             weights::quote_name(name), allowed),
                 "architectures");
}

Result<std::unique_ptr<Model>> load_model(Backend& backend, const std::filesystem::path& folder,
                                          const ModelOptions& options) {
  CHECK(options.activation == DType::kBf16 || options.activation == DType::kF32);
  ErnieConfig config = TRY(read_ernie_config(folder));
  const Architecture* architecture = TRY(find_architecture(config.architecture));
  weights::WeightStore store;
  if (config.is_packed && !options.random_seed) {
    if (options.quantization && options.quantization != config.quantization)
      return invalid(
          fmt::format("--quantization {}: {} is quantised already, to {}",
                      options.quantization->name, folder.string(), config.quantization->name),
          "--quantization");
    store = TRY(load_packed_checkpoint(backend, architecture->tensor_specs(config),
                                       load_options(options, config, config.quantization),
                                       folder / weights::kPackedCheckpointFile));
  } else {
    const weights::LoadOptions how = load_options(
        options, config, options.quantization ? options.quantization : config.quantization);
    const Load load = [&](weights::WeightSource& source,
                          const std::vector<weights::TensorSpec>& specs) -> Result<void> {
      store = options.weight_cache.empty()
                  ? TRY(load_weights(backend, source, specs, how))
                  : TRY(load_cached_weights(backend, source, specs, how, options.weight_cache));
      return {};
    };
    TRY(with_weights(*architecture, folder, options.random_seed, config, load));
  }
  return architecture->make(config, backend, options.activation, std::move(store));
}

Result<PackedModel> write_packed_model(Backend& backend, const std::filesystem::path& folder,
                                       const ModelOptions& options,
                                       const std::filesystem::path& file) {
  CHECK(options.quantization != nullptr);
  PackedModel packed{TRY(read_ernie_config(folder)), 0};
  ErnieConfig& config = packed.config;
  if (config.is_packed)
    return invalid(fmt::format("{} is quantised already, to {}; name the checkpoint it was made of",
                               folder.string(), config.quantization->name),
                   "--model");
  const Architecture* architecture = TRY(find_architecture(config.architecture));
  const weights::LoadOptions how = load_options(options, config, options.quantization);
  const Load write = [&](weights::WeightSource& source,
                         const std::vector<weights::TensorSpec>& specs) -> Result<void> {
    packed.weight_bytes = TRY(write_packed_checkpoint(backend, source, specs, how, file));
    return {};
  };
  TRY(with_weights(*architecture, folder, options.random_seed, config, write));
  return packed;
}

}  // namespace erne::model
