// `erne bench decode|prefill|batched`: their flags, and the model loaded as `erne serve` loads it.
#pragma once

#include <span>
#include <string>

#include "base/status.h"

namespace erne::apps {

enum class ModelBenchKind { kDecode, kPrefill, kBatched };

// Loads the model and measures, or prints the flags where they ask for help. --max-model-len and
// --max-num-seqs are raised to what the cases need; nothing needs a tokenizer. `command`: as typed,
// for the result.
Result<void> run_model_bench(ModelBenchKind kind, std::span<const std::string> arguments,
                             const std::string& command);

}  // namespace erne::apps
