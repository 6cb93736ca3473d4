// A quantised checkpoint of erne's own: one file of weights as a back end has packed them
// (packed_file.h), made once by `erne quantize`, then mapped: a start reads it as fast as the disk
// gives it, or, where it is large beside the machine's memory, leaves it mapped, so that the system
// keeps in memory what is used.
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "weights/packed_file.h"
#include "weights/weight_store.h"

namespace erne::weights {

inline constexpr char kPackedCheckpointFile[] = "erne-packed.safetensors";

// Packs one tensor at a time: memory is that of the largest one. options.progress counts tensors.
// Returns the bytes of all weights.
Result<size_t> write_packed_checkpoint(Backend& backend, WeightSource& source,
                                       std::span<const TensorSpec> specs,
                                       const LoadOptions& options,
                                       const std::filesystem::path& file);

enum class Residence { kAuto, kCopied, kMapped };

// options.quantization and activation are those that the file was made for, else an error says so.
// All of the file is read and its checksums compared, whether it is copied or stays mapped.
Result<WeightStore> load_packed_checkpoint(Backend& backend, std::span<const TensorSpec> specs,
                                           const LoadOptions& options,
                                           const std::filesystem::path& file,
                                           Residence residence = Residence::kAuto);

}  // namespace erne::weights
