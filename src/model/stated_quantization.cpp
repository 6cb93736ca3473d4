#include "model/stated_quantization.h"

#include <fmt/format.h>

#include <bit>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace erne::model {
namespace {

// The scheme of FastDeploy's "mix_quant", which names a format for each part.
Result<const QuantizationScheme*> parse_mix_quant(const ConfigFields& config) {
  const std::string dense = TRY(config.text("dense_quant_type")).value_or("");
  const std::string experts = TRY(config.text("moe_quant_type")).value_or(dense);
  const std::string kv = TRY(config.text("kv_cache_quant_type")).value_or("auto");
  for (const QuantizationScheme& scheme : quantization_schemes())
    if (dense == scheme.beside_experts &&
        (std::string_view(scheme.name).starts_with(experts) || experts == scheme.experts) &&
        kv == scheme.kv)
      return &scheme;
  return unsupported(
      fmt::format("quantization_config: mix_quant of \"{}\", experts \"{}\" and KV cache \"{}\" is "
                  "not built yet",
                  dense, experts, kv),
      "quantization_config");
}

// Blocks of another kind than powers of two, which FastDeploy has for some widths, are not built.
Result<int> parse_rotation(const ConfigFields& config, int width) {
  constexpr const char* kKey = "hadamard_block_size";
  const int size = TRY(config.integer(kKey, 0, kMaxRotation));
  if (size != 0 && (!std::has_single_bit(static_cast<unsigned>(size)) || width % size != 0))
    return bad_field(
        fmt::format("quantization_config.{}", kKey), config.find(kKey),
        fmt::format("0 or a power of two that divides moe_intermediate_size, {}", width));
  return size;
}

// nullptr: none that is built.
Result<const QuantizationScheme*> parse_scheme(const ConfigFields& config,
                                               const std::string& method) {
  if (method == "fp8") {
    const std::vector<int32_t> block = TRY(config.integers("weight_block_size", 1, 1 << 20));
    if (block != std::vector<int32_t>{128, 128})
      return bad_field("quantization_config.weight_block_size", config.find("weight_block_size"),
                       "[128, 128]");
    return find_quantization("block_wise_fp8");
  }
  const std::string name = TRY(config.text("quantization")).value_or("");
  if (name == "mix_quant") return parse_mix_quant(config);
  return find_quantization(name);
}

}  // namespace

Result<StatedQuantization> parse_stated_quantization(const ConfigFields& fields, int expert_width) {
  constexpr const char* kKey = "quantization_config";
  StatedQuantization stated;
  if (fields.find(kKey) == nullptr) return stated;
  const ConfigFields config = TRY(fields.object(kKey));
  if (config.is_empty()) return stated;
  if (TRY(config.boolean("is_permuted")).value_or(false))
    return unsupported(
        "quantization_config.is_permuted: weights in the order of GPU kernels are not read; load "
        "the bfloat16 checkpoint with --quantization",
        kKey);
  if (config.find("hadamard_block_size") != nullptr)
    stated.rotation = TRY(parse_rotation(config, expert_width));
  const std::string method = TRY(config.text("quant_method")).value_or("");
  stated.is_packed = method == "erne";
  if (stated.is_packed) {
    stated.input_scales = TRY(config.boolean("input_scales")).value_or(false);
    stated.kv_scales = TRY(config.boolean("kv_scales")).value_or(false);
  }
  stated.scheme = TRY(parse_scheme(config, method));
  if (stated.scheme == nullptr)
    return bad_field(
        kKey, fields.find(kKey),
        "\"quant_method\" fp8 or erne, or \"quantization\" with a name that --quantization takes");
  return stated;
}

}  // namespace erne::model
