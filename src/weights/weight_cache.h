// Weights as a back end has packed them, in a file: a later start with the same checkpoint, format
// and back end reads them back as fast as the disk gives them and packs nothing.
//
// Files (packed_file.h) are found by a hash of what they were made from, which includes what the
// checkpoint holds: its bytes are hashed when it is first seen, and again whenever its files are
// not, by the system's account, the same unchanged ones (fingerprint_memo.h). A file that does not
// hold what it should, by its checksums, is made again.
#pragma once

#include <filesystem>
#include <span>

#include "weights/weight_store.h"

namespace erne::weights {

// load_weights, from a file in `folder` where there is one, else from `source` and then into such a
// file. That it cannot be written is a warning, not an error. options.progress counts the same
// tensors either way.
Result<WeightStore> load_cached_weights(Backend& backend, WeightSource& source,
                                        std::span<const TensorSpec> specs,
                                        const LoadOptions& options,
                                        const std::filesystem::path& folder);

}  // namespace erne::weights
