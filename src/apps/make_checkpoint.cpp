#include "apps/make_checkpoint.h"

#include <fmt/format.h>

#include <filesystem>

#include "apps/loaded_model.h"
#include "apps/progress.h"
#include "model/config_file.h"
#include "model/registry.h"
#include "weights/checkpoint_writer.h"
#include "weights/random_source.h"

namespace erne::apps {
namespace {

namespace fs = std::filesystem;

Status cannot_write(const fs::path& file, const std::error_code& error) {
  return invalid(
      fmt::format("cannot write {}: {}; choose another --output", file.string(), error.message()),
      "output");
}

}  // namespace

Result<std::string> make_checkpoint(const MakeCheckpointOptions& options) {
  const fs::path from = TRY(find_folder(options.model, "--model")), to = options.output;
  const model::ErnieConfig config = TRY(model::read_config(from));
  const auto* architecture = TRY(model::find_architecture(config.architecture));
  std::error_code error;
  fs::create_directories(to, error);
  if (!error && fs::exists(to / "config.json", error))
    error = std::make_error_code(std::errc::file_exists);
  if (error) return cannot_write(to / "config.json", error);

  const fs::path file = to / "model.safetensors";
  weights::RandomSource source(options.seed);
  const auto specs = architecture->tensor_specs(config, model::stated_facts(config));
  TRY(weights::write_checkpoint(source, specs, file, tensor_progress("writing weights")));
  // Last, so that only a whole checkpoint looks like one.
  if (!fs::copy_file(from / "config.json", to / "config.json", error))
    return cannot_write(to / "config.json", error);
  return fmt::format("wrote {}: {:.2f} GB of random weights\n", file.string(),
                     static_cast<double>(fs::file_size(file, error)) / 1e9);
}

}  // namespace erne::apps
