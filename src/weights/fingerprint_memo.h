// Remembers what a checkpoint was found to hold, so that a later start need not read it all again.
#pragma once

#include <cstdint>
#include <filesystem>

#include "weights/weight_store.h"

namespace erne::weights {

// source.fingerprint(), or what it was when the source's identity() was the same and `folder` was
// told. A memo that is damaged counts as none; that one cannot be written costs the next start time
// and nothing else.
uint64_t remembered_fingerprint(const WeightSource& source, const std::filesystem::path& folder);

}  // namespace erne::weights
