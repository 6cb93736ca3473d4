#include "model/load_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/log.h"
#include "model/config_file.h"
#include "model/tensor_specs.h"
#include "weights/checkpoint_source.h"
#include "weights/packed_checkpoint.h"
#include "weights/random_source.h"
#include "weights/shard.h"
#include "weights/weight_cache.h"

namespace erne::model {
namespace {

// Nothing in a checkpoint is passed over in silence.
void report_unused(const ErnieConfig& config, const CheckpointFacts& facts,
                   const std::vector<std::string>& unused) {
  std::vector<std::string> unknown;
  std::ranges::copy_if(unused, std::back_inserter(unknown),
                       [&](const std::string& name) { return !is_known_unused(facts, name); });
  if (const size_t known = unused.size() - unknown.size(); known > 0)
    log_info("{} tensors of the checkpoint are not needed (multi-token predictor, tied head)",
             known);
  if (!unknown.empty())
    log_warning("{} tensors of the checkpoint are not used by {}: {}", unknown.size(),
                config.architecture, weights::quote_names(unknown));
}

void report(const weights::Checkpoint& checkpoint) {
  for (const std::string& note : checkpoint.notes()) log_info("{}", note);
  for (const std::string& warning : checkpoint.warnings()) log_warning("{}", warning);
}

}  // namespace

Result<OpenedModel> OpenedModel::open(const std::filesystem::path& folder,
                                      const ModelOptions& options) {
  ErnieConfig config = TRY(read_config(folder));
  const Architecture* architecture = TRY(find_architecture(config.architecture));
  OpenedModel opened(std::move(config), *architecture);
  opened.rank_ = options.rank;
  TRY(opened.open_weights(folder, options));
  return opened;
}

Result<void> OpenedModel::open_weights(const std::filesystem::path& folder,
                                       const ModelOptions& options) {
  if (options.random_seed || config_.quantization.is_packed) {
    facts_ = stated_facts(config_);
    plan_ = TRY(resolve(config_, facts_, options));
    specs_ = architecture_->tensor_specs(config_, facts_);
    packed_file_ = folder / weights::kPackedCheckpointFile;
    if (options.random_seed)
      source_ = std::make_unique<weights::RandomSource>(*options.random_seed);
    return {};
  }
  weights::Checkpoint checkpoint = TRY(weights::Checkpoint::open(folder));
  report(checkpoint);
  facts_ = TRY(find_facts(config_, checkpoint));
  plan_ = TRY(resolve(config_, facts_, options));
  specs_ = architecture_->tensor_specs(config_, facts_);
  auto source = TRY(weights::CheckpointSource::make(std::move(checkpoint), specs_));
  report_unused(config_, facts_, source.unused());
  if (source.holds_float16())
    log_info("the checkpoint holds float16 weights: they are converted while they are loaded");
  source_ = std::make_unique<weights::CheckpointSource>(std::move(source));
  return {};
}

weights::LoadOptions OpenedModel::load_options(Progress progress) const {
  return {plan_.activation, std::move(progress), plan_.formats, plan_.quantize_activations};
}

Result<size_t> OpenedModel::weight_bytes(Backend& backend, const QuantizationScheme* scheme) const {
  if (source_ == nullptr && backend.reads_host_memory()) return size_t{0};
  weights::RandomSource stand_in(0);
  weights::WeightSource& source = source_ != nullptr ? *source_ : stand_in;
  weights::LoadOptions how = load_options({});
  how.quantization = scheme ? scheme->formats(config_.has_experts()) : Quantization();
  size_t total = 0;
  for (const weights::WeightPlan& plan : TRY(plan_weights(backend, source, specs_, how)))
    total += plan.bytes;
  return total;
}

Result<std::unique_ptr<Model>> OpenedModel::load(Backend& backend, Progress progress,
                                                 const std::filesystem::path& weight_cache) const {
  if (const int step = backend.limits().head_dim_multiple; config_.head_dim % step != 0)
    return invalid(fmt::format("head_dim is {}: {} needs a multiple of {}", config_.head_dim,
                               backend.name(), step),
                   "head_dim");
  const weights::LoadOptions how = load_options(std::move(progress));
  const std::vector<weights::TensorSpec> specs = TRY(weights::share_of(specs_, rank_));
  const auto read = [&] {
    if (source_ == nullptr) return load_packed_checkpoint(backend, specs, how, packed_file_);
    weights::ShardedSource source(*source_, specs_, rank_);
    if (weight_cache.empty()) return load_weights(backend, source, specs, how);
    return load_cached_weights(backend, source, specs, how, weight_cache);
  };
  return architecture_->make(config_, facts_, backend, plan_.activation, TRY(read()));
}

Result<std::unique_ptr<Model>> OpenedModel::outline(Backend& backend) const {
  const weights::LoadOptions how = load_options({});
  weights::RandomSource stand_in(0);  // packed weights are in the plan's formats
  weights::WeightSource& source = source_ != nullptr ? *source_ : stand_in;
  const std::vector<weights::TensorSpec> specs = TRY(weights::share_of(specs_, rank_));
  const auto plans = TRY(plan_weights(backend, source, specs, how));
  return architecture_->make(config_, facts_, backend, plan_.activation,
                             weights::WeightStore(backend, plans, how.quantize_activations));
}

Result<size_t> OpenedModel::pack(Backend& backend, Progress progress,
                                 const std::filesystem::path& file) const {
  CHECK(plan_.scheme != nullptr && source_ != nullptr);
  return write_packed_checkpoint(backend, *source_, specs_, load_options(std::move(progress)),
                                 file);
}

Result<std::unique_ptr<Model>> load_model(Backend& backend, const std::filesystem::path& folder,
                                          const ModelOptions& options) {
  return TRY(OpenedModel::open(folder, options)).load(backend);
}

}  // namespace erne::model
