#include "golden.h"

#include <cstring>

#include "base/check.h"
#include "base/json.h"
#include "weights/mapped_file.h"
#include "weights/safetensors_header.h"

namespace erne::tests {
namespace {

std::vector<int32_t> integers(const Json& list) {
  std::vector<int32_t> out;
  for (const Json& value : list.as_array()) out.push_back(static_cast<int32_t>(value.as_int()));
  return out;
}

GoldenPrompt read_prompt(const Json& json, std::map<std::string, std::vector<float>>& tensors) {
  GoldenPrompt prompt;
  prompt.name = json.find("name")->as_string();
  prompt.input_ids = integers(*json.find("input_ids"));
  prompt.first_position = static_cast<int>(json.find("first_position")->as_int());
  prompt.first_logit_row = static_cast<int>(json.find("first_logit_row")->as_int());
  prompt.logits = tensors.at(prompt.name + ".logits");
  prompt.greedy = integers(*json.find("greedy"));
  prompt.greedy_margin = tensors.at(prompt.name + ".greedy_margin");
  prompt.hf_bf16_max_diff =
      static_cast<float>(json.find("hf_bf16_max_abs_logit_diff")->as_double());
  prompt.hf_bf16_mean_diff =
      static_cast<float>(json.find("hf_bf16_mean_abs_logit_diff")->as_double());
  return prompt;
}

GoldenCheckpoint read_checkpoint(const std::string& name, std::vector<std::string> layouts) {
  GoldenCheckpoint out{name, dense_goldens() / name, std::move(layouts), {}, {}, {}};
  const auto file = weights::MappedFile::open(out.folder / "outputs.json").value();
  const Json json =
      Json::parse({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()})
          .value();
  auto tensors = read_floats(out.folder / "outputs.safetensors");
  for (const Json& prompt : json.find("prompts")->as_array())
    out.prompts.push_back(read_prompt(prompt, tensors));
  out.traced_prompt = json.find("traced_prompt")->as_string();
  const std::string prefix = out.traced_prompt + ".hidden.";
  for (auto& [tensor, values] : tensors)
    if (tensor.starts_with(prefix)) out.hidden[tensor.substr(prefix.size())] = values;
  return out;
}

}  // namespace

std::filesystem::path dense_goldens() {
  return std::filesystem::path(ERNE_SOURCE_DIR) / "tests/goldens/dense";
}

std::map<std::string, std::vector<float>> read_floats(const std::filesystem::path& path) {
  const auto file = weights::MappedFile::open(path).value();
  const auto tensors = weights::parse_safetensors_header(file.bytes()).value();
  std::map<std::string, std::vector<float>> out;
  for (const auto& tensor : tensors) {
    if (std::string_view(tensor.type->name) != "F32") continue;
    std::vector<float>& values = out[tensor.name];
    values.resize(tensor.shape.elements());
    std::memcpy(values.data(), file.bytes().data() + tensor.begin, tensor.end - tensor.begin);
  }
  return out;
}

const std::vector<GoldenCheckpoint>& golden_checkpoints() {
  static const std::vector<GoldenCheckpoint> checkpoints = {
      read_checkpoint("tied", {"pt", "pt_sharded", "paddle"}),
      read_checkpoint("untied", {"pt", "paddle"})};
  return checkpoints;
}

}  // namespace erne::tests
