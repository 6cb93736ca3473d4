#include "apps/loaded_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "apps/backends.h"
#include "apps/memory_check.h"
#include "apps/progress.h"
#include "apps/quantization.h"
#include "backend/device_failure.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text_file.h"
#include "grammar/answer_constraint.h"
#include "tensor/activation_types.h"
#include "weights/model_folder.h"

namespace erne::apps {
namespace {

constexpr size_t kMaxTemplateBytes = 256 << 10;  // rust/src/chat_template.rs refuses more

class Stopwatch {
 public:
  double seconds() const { return (clock_.now_us() - start_) * 1e-6; }

 private:
  SteadyClock clock_;
  int64_t start_ = clock_.now_us();
};

size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total_pages = 0, resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

// What of a quantisation this machine has no products for, and what it has some for.
void report_slow_formats(const Backend& backend, const model::LoadPlan& plan) {
  std::set<std::string_view> slow, fast;
  const Quantization& formats = plan.formats;
  for (const WeightFormat* format : {formats.linears, formats.experts, formats.first_experts})
    if (format != nullptr && backend.is_decoded(*format, plan.input_of(*format)))
      slow.insert(format->name);
  if (slow.empty()) return;
  for (const WeightFormat& format : weight_formats())
    if (format.is_quantized() && !backend.is_decoded(format, format.input))
      fast.insert(format.name);
  log_info(
      "{} has no products of {} with these activations: such weights are decoded to float32 on the "
      "way, the same values but slower; with quantised activations {} are fast here",
      backend.name(), fmt::join(slow, ", "), fmt::join(fast, ", "));
}

Result<model::ModelOptions> model_options(const ServeOptions& options) {
  model::ModelOptions out;
  out.activation = find_activation_dtype(options.dtype).value();
  out.quantization = TRY(parse_quantization(options.quantization));
  out.quantize_activations = quantizes_activations(options.quantized_activations);
  out.kv_dtype = options.kv_cache_dtype;
  if (options.load_choices == "dummy") out.random_seed = options.seed;
  return out;
}

FreeMemory free_memory(const Backend& backend) {
  const MemoryInfo memory = backend.memory();
  if (backend.reads_host_memory()) return {memory.available_bytes};
  return {memory.available_bytes, free_host_bytes(), memory.total_bytes};
}

Result<void> load_weights(LoadedModel& loaded, const ServeOptions& options) {
  ChosenBackend chosen = TRY(make_backend(options));
  loaded.threads = chosen.threads;
  loaded.backend = std::move(chosen.backend);
  log_info("device: {}", chosen.summary);

  const Stopwatch watch;
  const model::ModelOptions how = TRY(model_options(options));
  const auto opened = TRY(model::OpenedModel::open(loaded.folder, how));
  const model::LoadPlan& plan = loaded.plan = opened.plan();
  loaded.working = TRY(working_bytes(options, opened, chosen.make_rehearsal));
  TRY(check_memory(options, opened, *loaded.backend, free_memory(*loaded.backend), loaded.working));
  loaded.model =
      TRY(opened.load(*loaded.backend, tensor_progress("loading weights"), options.weight_cache));
  const model::ErnieConfig& config = loaded.model->config();
  const char* arithmetic = plan.scheme == nullptr      ? ""
                           : plan.quantize_activations ? ", quantised with the weights"
                                                       : ", weight-only";
  log_info(
      "model: {} ({}), {} layers, hidden {}, {:.1f} MB of {}weights{} in {:.2f} s, {} "
      "activations{}",
      options.model, config.architecture, config.num_layers, config.hidden_size,
      loaded.model->weight_bytes() / 1e6, plan.scheme ? std::string(plan.scheme->name) + " " : "",
      how.random_seed ? " drawn at random" : " loaded", watch.seconds(),
      dtype_name(plan.activation), arithmetic);
  report_slow_formats(*loaded.backend, plan);
  loaded.generation = model::read_generation_config(loaded.folder, config);
  return {};
}

// kNotFound where neither --chat-template nor the folder has one.
Result<text::ChatTemplateSource> template_source(const ServeOptions& options,
                                                 const std::filesystem::path& folder) {
  if (options.chat_template.empty()) return text::ChatTemplateSource::load(folder);
  return text::ChatTemplateSource{
      TRY(read_text_file(options.chat_template, kMaxTemplateBytes, "--chat-template")), ""};
}

Result<void> load_chat_prompt(LoadedModel& loaded, const ServeOptions& options,
                              const std::filesystem::path& folder) {
  auto source = template_source(options, folder);
  const bool has_none = !source.ok() && source.status().code == Code::kNotFound;
  if (has_none && options.chat_template.empty()) return {};
  loaded.chat_template = TRY(source).text;
  loaded.chat_prompt = TRY(text::ChatPrompt::create(*source, *loaded.tokenizer));
  return {};
}

void add_turn_ends(LoadedModel& loaded) {
  std::vector<int32_t>& ends = loaded.generation.eos_token_ids;
  for (const TokenId id : text::turn_ends(*loaded.tokenizer))
    if (id < loaded.model->config().vocab_size && std::ranges::find(ends, id) == ends.end())
      ends.push_back(id);
}

Result<void> load_text(LoadedModel& loaded, const ServeOptions& options) {
  if (options.skip_tokenizer_init) {
    log_info("tokenizer: none, token ids only");
    return {};
  }
  const std::filesystem::path folder = loaded.tokenizer_folder;
  auto tokenizer = text::Tokenizer::load(folder);
  if (!tokenizer.ok() && tokenizer.status().code == Code::kNotFound)
    return Status{Code::kNotFound,
                  tokenizer.status().message +
                      "; name its folder with --tokenizer, or serve token ids with "
                      "--skip-tokenizer-init",
                  "--tokenizer"};
  loaded.tokenizer = TRY(std::move(tokenizer));
  if (loaded.tokenizer->size() > loaded.model->config().vocab_size)
    log_warning(
        "the tokenizer in {} has ids up to {}, the model's vocabulary ends at {}: requests "
        "that need a token beyond are refused",
        folder.string(), loaded.tokenizer->size() - 1, loaded.model->config().vocab_size - 1);
  TRY(load_chat_prompt(loaded, options, folder));
  if (loaded.chat_prompt) add_turn_ends(loaded);
  log_info("tokenizer: {} tokens from {}, chat template: {}", loaded.tokenizer->size(),
           loaded.tokenizer->source(),
           loaded.chat_prompt ? "yes" : "none, so /v1/chat/completions is refused");
  return {};
}

// On a device whose memory is its own, ops take what they work in beside what was counted: now.
Result<void> start_executor(LoadedModel& loaded, const exec::ExecutorOptions& executor) {
  try {
    loaded.executor =
        std::make_unique<exec::ModelExecutor>(*loaded.backend, *loaded.model, executor,
                                              /*drafter=*/nullptr, grammar::make_constraint);
    if (!loaded.backend->reads_host_memory()) loaded.executor->warm_up();
    return {};
  } catch (const DeviceFailure& failure) {
    return Status{
        Code::kTooLong,
        fmt::format("{}: the largest step does not fit beside weights and KV cache; lower "
                    "--gpu-memory-utilization, --max-num-batched-tokens or "
                    "--max-num-seqs",
                    failure.what()),
        "--gpu-memory-utilization"};
  }
}

void report_host_tier(const Capacity& capacity, const Backend& backend) {
  if (capacity.host_blocks == 0) return;
  log_info(
      "CPU tier of the prefix cache: {} blocks, {:.1f} MB{}", capacity.host_blocks,
      capacity.host_blocks * capacity.block_bytes / 1e6,
      backend.reads_host_memory()
          ? "; here it is memory like the KV cache's, which as --num-gpu-blocks-override would "
            "serve as well and save the copies"
          : "");
}

Result<void> make_executor(LoadedModel& loaded, const ServeOptions& options) {
  const model::Model& model = *loaded.model;
  const FreeMemory free = free_memory(*loaded.backend);
  const DType kv = loaded.plan.kv;
  loaded.capacity = TRY(
      choose_capacity(options, model.config(), loaded.backend->limits(), kv, free, loaded.working));
  loaded.capacity.limits.vocab_size = loaded.num_tokens();
  const Capacity& capacity = loaded.capacity;
  exec::ExecutorOptions executor =
      executor_options(options, capacity.limits, kv, capacity.num_blocks);
  executor.host_blocks = capacity.host_blocks;
  TRY(start_executor(loaded, executor));
  log_info("KV cache: {}, {} blocks of {} tokens, {:.1f} MB of {:.1f} MB free; workspace {:.1f} MB",
           dtype_name(kv), capacity.num_blocks, options.block_size,
           capacity.num_blocks * capacity.block_bytes / 1e6, free.device_bytes / 1e6,
           loaded.working(capacity.limits, capacity.num_blocks) / 1e6);
  report_host_tier(capacity, *loaded.backend);
  const std::string chunked_prefill =
      capacity.limits.chunk_prompts
          ? fmt::format("slows decoding down to {:g} times at most", options.max_decode_slowdown)
          : "off";
  log_info(
      "limits: {} tokens per request, {} sequences and {} tokens per step; prefix caching {}, "
      "chunked prefill {}; resident memory {:.1f} MB",
      capacity.limits.max_model_len, capacity.limits.max_rows, capacity.limits.max_tokens,
      capacity.limits.share_prefixes ? "on" : "off", chunked_prefill, resident_bytes() / 1e6);
  return {};
}

std::vector<std::filesystem::path> roots_of(
    std::initializer_list<std::pair<const char*, const char*>> places) {
  std::vector<std::filesystem::path> roots;
  for (const auto& [variable, below] : places)
    if (const char* value = std::getenv(variable); value != nullptr && *value != '\0')
      roots.push_back(std::filesystem::path(value) / below);
  return roots;
}

// By the environment variables of the hubs' clients.
weights::HubCaches hub_caches() {
  return {roots_of({{"HF_HUB_CACHE", ""}, {"HF_HOME", "hub"}, {"HOME", ".cache/huggingface/hub"}}),
          roots_of({{"MODELSCOPE_CACHE", "models"}, {"HOME", ".cache/modelscope/hub/models"}})};
}

}  // namespace

int LoadedModel::num_tokens() const {
  const int rows = model->config().vocab_size;
  return tokenizer ? std::min(tokenizer->size(), rows) : rows;
}

Result<std::filesystem::path> find_folder(const std::string& named, const std::string& flag) {
  weights::ModelFolder found = TRY(weights::find_model_folder(named, flag, hub_caches()));
  if (!found.note.empty()) log_info("{}", found.note);
  if (!found.warning.empty()) log_warning("{}", found.warning);
  return std::move(found.path);
}

Result<LoadedModel> load_model(const ServeOptions& options) {
  if (options.model.empty())
    return invalid("--model is missing: name the folder of a checkpoint", "--model");
  LoadedModel loaded;
  loaded.folder = TRY(find_folder(options.model, "--model"));
  loaded.tokenizer_folder =
      options.tokenizer.empty() ? loaded.folder : std::filesystem::path(options.tokenizer);
  if (weights::is_hub_cache(loaded.tokenizer_folder))
    loaded.tokenizer_folder = TRY(find_folder(options.tokenizer, "--tokenizer"));
  TRY(load_weights(loaded, options));
  TRY(load_text(loaded, options));
  TRY(make_executor(loaded, options));
  return loaded;
}

}  // namespace erne::apps
