#include "apps/quantize.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <vector>

#include "apps/backends.h"
#include "apps/quantization.h"
#include "base/json.h"
#include "model/config_fields.h"
#include "model/load_model.h"
#include "weights/packed_checkpoint.h"

namespace erne::apps {
namespace {

namespace fs = std::filesystem;

struct QuantizeOptions {
  std::string model, quantization, output, dtype = "bfloat16", load_choices = "default";
  int64_t seed = 0;
  int threads = 0;
};

// One line that is rewritten; a log gets the outcome only.
void show_progress(size_t done, size_t total) {
  if (!isatty(STDERR_FILENO)) return;
  fmt::print(stderr, "\rquantizing: {}/{} tensors{}", done, total, done == total ? "\n" : "");
}

Status cannot_write(const fs::path& file, const std::string& why) {
  return invalid(fmt::format("cannot write {}: {}; choose another --output", file.string(), why),
                 "--output");
}

Result<void> make_empty_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return cannot_write(folder, error.message());
  if (!fs::is_empty(folder, error)) return cannot_write(folder, "it is not empty");
  return {};
}

// Tokenizer, templates and settings; not the weights.
Result<void> copy_other_files(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(from, error)) {
    const std::string name = entry.path().filename();
    if (!entry.is_regular_file() || name == "config.json" || name.ends_with(".safetensors") ||
        name.ends_with(".safetensors.index.json"))
      continue;
    if (!fs::copy_file(entry.path(), to / name, error))
      return cannot_write(to / name, error.message());
  }
  return {};
}

Result<void> write_config(const QuantizeOptions& options, const model::CheckpointFacts& facts) {
  const fs::path file = fs::path(options.output) / "config.json";
  Json json =
      TRY(Json::parse(TRY(model::read_config_text(fs::path(options.model) / "config.json"))));
  json.set("tie_word_embeddings", facts.tied);
  const model::Calibration& calibration = facts.calibration;
  json.set("quantization_config", Json::Object{{"quant_method", "erne"},
                                               {"quantization", options.quantization},
                                               {"input_scales", calibration.input_scales},
                                               {"kv_scales", calibration.kv_scales},
                                               {"hadamard_block_size", calibration.rotation}});
  std::ofstream out(file);
  out << json.dump() << "\n";
  out.close();
  if (!out) return cannot_write(file, "the disk took no more");
  return {};
}

Result<std::string> quantize(const QuantizeOptions& options) {
  const QuantizationScheme* scheme = TRY(parse_quantization(options.quantization));
  if (scheme == nullptr)
    return invalid("--quantization none: name a format to quantise to", "--quantization");
  model::ModelOptions how;
  how.activation = options.dtype == "float32" ? DType::kF32 : DType::kBf16;
  how.quantization = scheme;
  if (options.load_choices == "dummy") how.random_seed = options.seed;
  const auto opened = TRY(model::OpenedModel::open(options.model, how));
  if (opened.facts().is_packed)
    return invalid(fmt::format("{} is quantised already, to {}; name the checkpoint it was made of",
                               options.model, opened.facts().scheme->name),
                   "--model");
  const fs::path to = options.output;
  TRY(make_empty_folder(to));
  const ChosenBackend chosen = TRY(make_backend("auto", options.threads));
  const fs::path file = to / weights::kPackedCheckpointFile;
  const size_t bytes = TRY(opened.pack(*chosen.backend, show_progress, file));
  TRY(copy_other_files(options.model, to));
  TRY(write_config(options,
                   opened.facts()));  // last, so that only a whole checkpoint looks like one
  return fmt::format("wrote {}: {:.1f} MB of {} weights; serve it with erne serve --model {}\n",
                     file.string(), bytes / 1e6, scheme->name, options.output);
}

}  // namespace

int run_quantize(std::span<const std::string> arguments) {
  CLI::App app(
      "Quantises a checkpoint once, into a folder that loads as fast as the disk reads it.",
      "erne quantize");
  app.option_defaults()->always_capture_default();
  QuantizeOptions options;
  app.add_option("--model", options.model, "folder of the checkpoint")->required();
  app.add_option("--quantization", options.quantization, "as of erne serve")->required();
  app.add_option("--output", options.output, "folder to make; must be empty or not exist")
      ->required();
  app.add_option("--dtype", options.dtype, "type of activations that it is for")
      ->check(CLI::IsMember({"bfloat16", "float32"}));
  app.add_option("--load-choices", options.load_choices, "dummy: random weights of the shapes")
      ->check(CLI::IsMember({"default", "default_v1", "dummy"}));
  app.add_option("--seed", options.seed, "of random weights");
  app.add_option("--threads", options.threads, "0: all CPUs")->check(CLI::Range(0, 4096));
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants it
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto made = quantize(options);
  if (!made.ok()) {
    fmt::print(stderr, "erne quantize: {}\n", made.status().message);
    return 2;
  }
  fmt::print("{}", *made);
  return 0;
}

}  // namespace erne::apps
