#include "apps/memory_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "apps/capacity.h"
#include "tensor/quantization.h"

namespace erne::apps {
namespace {

std::string gigabytes(size_t bytes) {
  return fmt::format("{:.{}f} GB", static_cast<double>(bytes) / 1e9, bytes < 995'000'000 ? 3 : 1);
}

// What the least that can be served with needs beside the weights: one sequence, of the length that
// is asked for or less, in steps of the usual size or less.
struct Beside {
  size_t kv = 0, workspace = 0;
  int model_len = 0;
  size_t total() const { return kv + workspace; }
};

ServeOptions least_of(ServeOptions options) {
  const ServeOptions usual;
  constexpr int64_t kUsualLen = 2048;
  if (options.max_model_len == 0 || options.max_model_len > kUsualLen) options.max_model_len = 0;
  options.max_num_seqs = 1;
  options.max_num_batched_tokens = 0;
  options.num_gpu_blocks_override = 0;
  options.swap_space = 0;
  options.enable_chunked_prefill = usual.enable_chunked_prefill;
  return options;
}

Result<Beside> count_least(const ServeOptions& options, const model::OpenedModel& opened,
                           const Backend& backend, const WorkingBytes& working) {
  constexpr FreeMemory kAnyMemory{size_t{1} << 50};
  const Capacity capacity = TRY(choose_capacity(
      least_of(options), opened.config(), backend.limits(), opened.plan().kv, kAnyMemory, working));
  const int model_len = capacity.limits.max_model_len;
  const int64_t blocks = (model_len + options.block_size - 1) / options.block_size;
  return Beside{blocks * capacity.block_bytes, working(capacity.limits, blocks), model_len};
}

// Names the quantisations that fit, with what they need; if none does, the smallest.
Result<std::string> advice(const model::OpenedModel& opened, Backend& backend, size_t beside,
                           size_t free_bytes) {
  std::vector<std::pair<size_t, const char*>> sizes;
  for (const QuantizationScheme& scheme : quantization_schemes())
    sizes.emplace_back(TRY(opened.weight_bytes(backend, &scheme)) + beside, scheme.name);
  std::ranges::sort(sizes);
  std::vector<std::string> fitting;
  for (const auto& [bytes, name] : sizes)
    if (bytes <= free_bytes) fitting.push_back(fmt::format("{} {}", name, gigabytes(bytes)));
  if (!fitting.empty())
    return fmt::format("with --quantization it would fit: {}", fmt::join(fitting, ", "));
  return fmt::format(
      "no --quantization fits either, {} needs the least, {}; use a larger machine, or erne "
      "quantize, whose checkpoints may be larger than memory, but are slow then",
      sizes[0].second, gigabytes(sizes[0].first));
}

}  // namespace

Result<void> check_memory(const ServeOptions& options, const model::OpenedModel& opened,
                          Backend& backend, const FreeMemory& free, const WorkingBytes& working) {
  const model::LoadPlan& plan = opened.plan();
  const Beside least = TRY(count_least(options, opened, backend, working));
  const size_t weights = TRY(opened.weight_bytes(backend, plan.scheme));
  if (weights + least.total() > free.device_bytes)
    return Status{
        Code::kTooLong,
        fmt::format("--model {} needs {}, and {} of memory are free: {} of {} weights, {} for the "
                    "KV cache of one sequence of {} tokens, {} of workspace; {}",
                    options.model, gigabytes(weights + least.total()), gigabytes(free.device_bytes),
                    gigabytes(weights),
                    plan.scheme ? plan.scheme->name : dtype_name(plan.activation),
                    gigabytes(least.kv), least.model_len, gigabytes(least.workspace),
                    TRY(advice(opened, backend, least.total(), free.device_bytes))),
        "--model"};
  TRY(choose_capacity(options, opened.config(), backend.limits(), plan.kv,
                      {free.device_bytes - weights, free.host_bytes, free.total_bytes}, working));
  return {};
}

}  // namespace erne::apps
