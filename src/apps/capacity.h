// How much one server takes on at once, from its options and this machine's memory.
#pragma once

#include <cstddef>

#include "apps/serve_options.h"
#include "backend/backend.h"
#include "base/status.h"
#include "model/ernie_config.h"
#include "sched/limits.h"
#include "tensor/tensor_view.h"

namespace erne::apps {

struct Capacity {
  sched::Limits limits;
  int num_blocks = 0;
  size_t block_bytes = 0;
};

// `free_bytes`: memory left once the weights are loaded. Where the options leave it open, there are
// blocks for every sequence at its longest, twice, so that prefixes stay cached; never more than
// --gpu-memory-utilization of what is free. Errors name the flag to change.
Result<Capacity> choose_capacity(const ServeOptions& options, const model::ErnieConfig& config,
                                 const BackendLimits& backend, DType kv_dtype, size_t free_bytes);

}  // namespace erne::apps
