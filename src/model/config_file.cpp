#include "model/config_file.h"

#include "model/config_fields.h"
#include "model/registry.h"

namespace erne::model {

Result<ErnieConfig> parse_config(std::string_view text) {
  const ConfigFields fields = TRY(ConfigFields::parse(text));
  const Architecture* architecture = TRY(find_architecture(TRY(parse_architecture(fields))));
  return parse_ernie_config(fields, architecture->name, architecture->has_experts);
}

Result<ErnieConfig> read_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  Result<ErnieConfig> config = parse_config(TRY(read_config_text(path)));
  if (!config) return in_file(path, config.status());
  return config;
}

}  // namespace erne::model
