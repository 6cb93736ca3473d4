// How much one server takes on at once, from its options and this machine's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "apps/serve_options.h"
#include "backend/backend.h"
#include "base/status.h"
#include "model/ernie_config.h"
#include "sched/limits.h"
#include "tensor/tensor_view.h"

namespace erne::apps {

struct Capacity {
  sched::Limits limits;
  int num_blocks = 0;   // of KV on the device
  int host_blocks = 0;  // and of its tier on the host
  size_t block_bytes = 0;
};

// What is left of memory once the weights are loaded.
struct FreeMemory {
  size_t device_bytes = 0;
  std::optional<size_t> host_bytes = {};  // none: the device's memory is the host's
};

// Memory besides weights and KV that steps of such limits work in.
using WorkspaceBytes = std::function<size_t(const sched::Limits&)>;

// That of the executor, counted before there is one. The arguments outlive it.
WorkspaceBytes workspace_of(const model::ErnieConfig& config, DType activation,
                            const ServeOptions& options);

// Of the device's memory steps and KV together take --gpu-memory-utilization at most, and
// --swap-space is taken off before where it is the same memory. Where the options leave it open,
// there are blocks for every sequence at its longest, twice, so that prefixes stay cached. What
// cannot fit is refused before anything is allocated; errors name the flag to change and a value
// that fits.
Result<Capacity> choose_capacity(const ServeOptions& options, const model::ErnieConfig& config,
                                 const BackendLimits& backend, DType kv_dtype,
                                 const FreeMemory& free, const WorkspaceBytes& workspace);

}  // namespace erne::apps
