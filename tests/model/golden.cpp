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

std::vector<GoldenRoute> read_routes(const std::filesystem::path& file, const std::string& prompt,
                                     int num_layers) {
  const auto floats = read_floats(file);
  const auto integers = read_integers(file);
  std::vector<GoldenRoute> routes;
  for (int layer = 0; layer < num_layers; ++layer) {
    const std::string name = prompt + ".router." + std::to_string(layer);
    if (!floats.contains(name + ".logits")) continue;
    const auto& experts = integers.at(name + ".experts");
    routes.push_back({floats.at(name + ".logits"),
                      {experts.begin(), experts.end()},
                      floats.at(name + ".weights")});
  }
  return routes;
}

GoldenCheckpoint read_checkpoint(const std::filesystem::path& folder,
                                 std::vector<std::string> layouts) {
  GoldenCheckpoint out{folder.filename().string(), folder, std::move(layouts), {}, {}, {}, {}};
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
  out.routes = read_routes(out.folder / "outputs.safetensors", out.traced_prompt,
                           static_cast<int>(out.hidden.size()));
  return out;
}

std::filesystem::path goldens() {
  return std::filesystem::path(ERNE_SOURCE_DIR) / "tests/goldens";
}

template <class T>
std::map<std::string, std::vector<T>> read_tensors(const std::filesystem::path& path,
                                                   std::string_view type) {
  const auto file = weights::MappedFile::open(path).value();
  const auto tensors = weights::parse_safetensors_header(file.bytes()).value();
  std::map<std::string, std::vector<T>> out;
  for (const auto& tensor : tensors) {
    if (tensor.type->name != type) continue;
    std::vector<T>& values = out[tensor.name];
    values.resize(tensor.shape.elements());
    std::memcpy(values.data(), file.bytes().data() + tensor.begin, tensor.end - tensor.begin);
  }
  return out;
}

}  // namespace

std::filesystem::path dense_goldens() {
  return goldens() / "dense";
}

std::map<std::string, std::vector<float>> read_floats(const std::filesystem::path& path) {
  return read_tensors<float>(path, "F32");
}

std::map<std::string, std::vector<int64_t>> read_integers(const std::filesystem::path& path) {
  return read_tensors<int64_t>(path, "I64");
}

const std::vector<GoldenCheckpoint>& golden_checkpoints() {
  static const std::vector<GoldenCheckpoint> checkpoints = {
      read_checkpoint(goldens() / "dense/tied", {"pt", "pt_sharded", "paddle"}),
      read_checkpoint(goldens() / "dense/untied", {"pt", "paddle"}),
      read_checkpoint(goldens() / "moe/e8", {"pt", "paddle"}),
      read_checkpoint(goldens() / "moe/e64", {"pt", "paddle"})};
  return checkpoints;
}

}  // namespace erne::tests
