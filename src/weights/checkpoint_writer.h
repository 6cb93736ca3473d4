// Writes tensors as a checkpoint in Hugging Face's layout (-PT): what CheckpointSource reads back
// to the same bits. One tensor is in memory at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <span>

#include "base/status.h"
#include "weights/weight_store.h"

namespace erne::weights {

// Makes `file`, in bfloat16, from what `source` has for `specs`. An existing file is refused, and
// an unfinished one is removed. progress(done, total) counts tensors.
Result<void> write_checkpoint(WeightSource& source, std::span<const TensorSpec> specs,
                              const std::filesystem::path& file,
                              const std::function<void(size_t, size_t)>& progress);

}  // namespace erne::weights
