// How much one server takes on at once, from its options and this machine's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

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

// Memory besides weights and KV that steps of such limits work in.
using WorkspaceBytes = std::function<size_t(const sched::Limits&)>;

// That of the executor, counted before there is one. The arguments outlive it.
WorkspaceBytes workspace_of(const model::ErnieConfig& config, DType activation,
                            const ServeOptions& options);

// `free_bytes`: memory left once the weights are loaded, of which steps and KV together take
// --gpu-memory-utilization at most. Where the options leave it open, there are blocks for every
// sequence at its longest, twice, so that prefixes stay cached. What cannot fit is refused before
// anything is allocated; errors name the flag to change and a value that fits.
Result<Capacity> choose_capacity(const ServeOptions& options, const model::ErnieConfig& config,
                                 const BackendLimits& backend, DType kv_dtype, size_t free_bytes,
                                 const WorkspaceBytes& workspace);

}  // namespace erne::apps
