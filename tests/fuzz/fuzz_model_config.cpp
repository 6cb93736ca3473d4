// config.json and generation_config.json: what is accepted gives sane dimensions and a list of
// tensors whose sizes do not overflow.
#include <string_view>

#include "base/check.h"
#include "base/log.h"
#include "model/config_file.h"
#include "model/generation_config.h"
#include "model/tensor_specs.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  erne::set_log_level(erne::LogLevel::kError);  // a default taken is a warning
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace erne::model;
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  ErnieConfig any;
  any.vocab_size = 1000;
  const GenerationConfig generation = parse_generation_config(text, any);
  for (const int32_t id : generation.eos_token_ids) CHECK(id >= 0 && id < any.vocab_size);
  CHECK(generation.top_k.value_or(0) >= 0 && generation.top_k.value_or(0) <= any.vocab_size);
  CHECK(generation.temperature.value_or(0) >= 0);
  CHECK(generation.top_p.value_or(1) > 0 && generation.top_p.value_or(1) <= 1);
  CHECK(generation.repetition_penalty.value_or(1) > 0);

  const auto config = parse_config(text);
  if (!config) return 0;
  CHECK_EQ(config->num_heads % config->num_kv_heads, 0);
  CHECK(config->head_dim > 0 && config->head_dim % 2 == 0);
  CHECK(config->rms_norm_eps > 0);
  CHECK(config->rope_theta > 1);
  int64_t bytes = 0;
  for (const auto& spec : text_tensor_specs(*config, stated_facts(*config))) {
    CHECK_GT(spec.shape.elements(), 0);
    CHECK(!__builtin_add_overflow(bytes, 4 * spec.shape.elements(), &bytes));
  }
  return 0;
}
