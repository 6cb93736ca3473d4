// `erne bench`: measures a running server (`serve`), a model in this process (`decode`, `prefill`,
// `batched`) or this machine's kernels (`ops`); `make-checkpoint` makes a model to measure.
#pragma once

#include <span>
#include <string>

namespace erne::apps {

// Returns the process's exit status: 0, 1 where the measurement failed, 2 where a flag was refused.
int run_bench(std::span<const std::string> arguments);

}  // namespace erne::apps
