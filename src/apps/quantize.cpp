#include "apps/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string_view>

#include "apps/backends.h"
#include "apps/flags.h"
#include "apps/loaded_model.h"
#include "apps/progress.h"
#include "apps/quantization.h"
#include "base/json.h"
#include "base/json_file.h"
#include "base/text_file.h"
#include "model/config_fields.h"
#include "model/load_model.h"
#include "tensor/activation_types.h"
#include "weights/new_file.h"
#include "weights/packed_checkpoint.h"

namespace erne::apps {
namespace {

namespace fs = std::filesystem;

constexpr char kQuantizeUsage[] =
    "erne quantize --model DIR --quantization FORMAT --output DIR\n"
    "\n"
    "Quantises a checkpoint once, into a folder that loads as fast as the disk reads it.\n";

struct QuantizeOptions {
  std::string model, quantization, output, dtype = "bfloat16", load_choices = "default";
  int64_t seed = 0;
  int threads = 0;
};
using Q = QuantizeOptions;

constexpr FlagRow<QuantizeOptions> kQuantizeFlags[] = {
    {"--model", "What", &Q::model, "folder of the checkpoint; required"},
    {"--quantization", "What", &Q::quantization, "as of erne serve; required"},
    {"--output", "What", &Q::output, "folder to make; must be empty or not exist; required"},
    {"--dtype", "How", &Q::dtype, "type of activations that it is for", one_of(kActivationChoices)},
    {"--load-choices", "How", &Q::load_choices, "dummy: random weights of the shapes",
     one_of("default default_v1 dummy")},
    {"--seed", "How", &Q::seed, "of random weights", from_to(0, 1e18)},
    {"--threads", "How", &Q::threads, "0: one per core", from_to(0, 1024)},
};

Status cannot_write(const fs::path& file, const std::string& why) {
  return invalid(fmt::format("cannot write {}: {}; choose another --output", file.string(), why),
                 "--output");
}

// The folder that a checkpoint's own files lie in: for a snapshot in a hub's cache, whose files are
// links to ../../blobs, that of the model.
fs::path own_folder(const fs::path& folder, std::error_code& error) {
  const fs::path real = fs::canonical(folder, error);
  const bool is_snapshot = real.parent_path().filename() == "snapshots";
  return is_snapshot ? real.parent_path().parent_path() : real;
}

// A link that leads out of the checkpoint would carry what is no part of it into a folder that is
// made to be passed on.
bool is_inside(const fs::path& file, const fs::path& folder) {
  std::error_code error;
  const fs::path real = fs::canonical(file, error);
  const auto rest = real.lexically_relative(folder);
  return !error && !rest.empty() && *rest.begin() != "..";
}

// Tokenizer, templates and settings; not weights, trainings' states or whatever else lies there.
bool is_setting(const fs::path& file) {
  const std::string name = file.filename(), end = file.extension();
  if (name.starts_with('.') || name == "config.json" || name.ends_with(".safetensors.index.json"))
    return false;
  constexpr std::string_view kEnds[] = {".json", ".jinja", ".model", ".txt", ".md"};
  return std::ranges::find(kEnds, end) != std::end(kEnds) || name.starts_with("LICENSE");
}

Result<void> copy_settings(const fs::path& from, const fs::path& to) {
  std::error_code error;
  const fs::path own = own_folder(from, error);
  for (fs::directory_iterator it(from, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename();
    std::error_code is_gone;  // a link that leads nowhere
    if (!it->is_regular_file(is_gone) || !is_setting(it->path())) continue;
    if (!is_inside(it->path(), own))
      return invalid(
          fmt::format("{} is a link that leads out of the checkpoint: put the file itself "
                      "there, or remove the link",
                      it->path().string()),
          "--model");
    if (!fs::copy_file(it->path(), to / name, error))
      return cannot_write(to / name, error.message());
  }
  if (error)
    return invalid(fmt::format("cannot read {}: {}", from.string(), error.message()), "--model");
  return {};
}

Result<void> write_config(const QuantizeOptions& options, const fs::path& from,
                          const model::CheckpointFacts& facts) {
  const fs::path file = fs::path(options.output) / "config.json";
  Json json = TRY(parse_json_file(TRY(model::read_config_text(from / "config.json"))));
  json.set("tie_word_embeddings", facts.tied);
  const model::Calibration& calibration = facts.calibration;
  json.set("quantization_config", Json::Object{{"quant_method", "erne"},
                                               {"quantization", options.quantization},
                                               {"input_scales", calibration.input_scales},
                                               {"kv_scales", calibration.kv_scales},
                                               {"hadamard_block_size", calibration.rotation}});
  return write_new_file(file.string(), json.dump() + "\n", "--output");
}

// An empty folder of its own: not one that a link leads to.
Result<void> make_folder(const fs::path& to) {
  std::error_code error;
  if (fs::is_symlink(to, error)) return cannot_write(to, "it is a link; name the folder itself");
  fs::create_directories(to, error);
  if (error) return cannot_write(to, error.message());
  weights::remove_unfinished(to);  // of a run that was broken off
  const bool is_empty = fs::is_empty(to, error);
  if (error) return cannot_write(to, error.message());
  return is_empty ? Result<void>() : cannot_write(to, "it is not empty");
}

Result<std::string> quantize(const QuantizeOptions& options) {
  const QuantizationScheme* scheme = TRY(parse_quantization(options.quantization));
  if (scheme == nullptr)
    return invalid("--quantization none: name a format to quantise to", "--quantization");
  model::ModelOptions how;
  how.activation = find_activation_dtype(options.dtype).value();
  how.quantization = scheme;
  if (options.load_choices == "dummy") how.random_seed = options.seed;
  const fs::path from = TRY(find_folder(options.model, "--model"));
  const auto opened = TRY(model::OpenedModel::open(from, how));
  if (opened.facts().is_packed)
    return invalid(fmt::format("{} is quantised already, to {}; name the checkpoint it was made of",
                               options.model, opened.facts().scheme->name),
                   "--model");
  const fs::path to = options.output;
  TRY(make_folder(to));
  const ChosenBackend chosen = TRY(make_backend({.device = "cpu", .threads = options.threads}));
  const fs::path file = to / weights::kPackedCheckpointFile;
  TRY(copy_settings(from, to));
  const size_t bytes = TRY(opened.pack(*chosen.backend, tensor_progress("quantizing"), file));
  TRY(write_config(options, from,
                   opened.facts()));  // last, so that only a whole checkpoint looks like one
  return fmt::format("wrote {}: {:.1f} MB of {} weights; serve it with erne serve --model {}\n",
                     file.string(), bytes / 1e6, scheme->name, options.output);
}

}  // namespace

int run_quantize(std::span<const std::string> arguments) {
  QuantizeOptions options;
  Command command{.name = "erne quantize"};
  command.add(kQuantizeFlags, options);
  if (asks_for_help(arguments)) {
    fmt::print("{}{}", kQuantizeUsage, flags_help(command));
    return 0;
  }
  const auto made = [&]() -> Result<std::string> {
    TRY(parse_flags(command, arguments, std::getenv));
    TRY(require({{"--model", options.model},
                 {"--quantization", options.quantization},
                 {"--output", options.output}}));
    return quantize(options);
  }();
  if (!made.ok()) {
    fmt::print(stderr, "erne quantize: {}\n", made.status().message);
    return 2;
  }
  fmt::print("{}", *made);
  return 0;
}

}  // namespace erne::apps
