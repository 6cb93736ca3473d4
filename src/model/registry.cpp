#include "model/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "base/log.h"
#include "model/ernie_text.h"
#include "model/tensor_specs.h"
#include "weights/checkpoint_source.h"
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

using Load = std::function<Result<weights::WeightStore>(weights::WeightSource& source,
                                                        const std::vector<weights::TensorSpec>&)>;

Result<weights::WeightStore> load_checkpoint(const Architecture& architecture,
                                             const std::filesystem::path& folder, const Load& load,
                                             ErnieConfig& config) {
  weights::Checkpoint checkpoint = TRY(weights::Checkpoint::open(folder));
  if (!config.tie_is_stated)
    config.tie_word_embeddings = checkpoint.find("lm_head.weight") == nullptr;
  const auto specs = architecture.tensor_specs(config);
  auto source = TRY(weights::CheckpointSource::make(std::move(checkpoint), specs));
  report_unused(config, source.unused());
  return load(source, specs);
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
  const Quantization quantization =
      options.quantization ? options.quantization->formats(config.has_experts()) : Quantization();
  const weights::LoadOptions load_options{options.activation, options.progress, quantization,
                                          options.quantize_activations};
  const Load load = [&](weights::WeightSource& source,
                        const std::vector<weights::TensorSpec>& specs) {
    return options.weight_cache.empty()
               ? load_weights(backend, source, specs, load_options)
               : load_cached_weights(backend, source, specs, load_options, options.weight_cache);
  };
  weights::WeightStore store;
  if (options.random_seed) {
    weights::RandomSource source(*options.random_seed);
    store = TRY(load(source, architecture->tensor_specs(config)));
  } else {
    store = TRY(load_checkpoint(*architecture, folder, load, config));
  }
  return architecture->make(config, backend, options.activation, std::move(store));
}

}  // namespace erne::model
