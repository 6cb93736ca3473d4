// How much one server takes on at once, from its options and this machine's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "apps/backends.h"
#include "apps/serve_options.h"
#include "backend/backend.h"
#include "base/status.h"
#include "exec/model_executor.h"
#include "model/ernie_config.h"
#include "model/load_model.h"
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
  size_t total_bytes = 0;                 // of the device; 0: what is free is all there is
};

// Memory besides weights and KV that steps of such limits work in, where there are so many blocks.
using WorkingBytes = std::function<size_t(const sched::Limits&, int64_t blocks)>;

exec::ExecutorOptions executor_options(const ServeOptions& options, const sched::Limits& limits,
                                       DType kv_dtype, int64_t blocks);
// Counted before there is an executor or a weight: by rehearsing one for the model's outline, or,
// where ops work in no memory of their own (null), by shapes alone.
Result<WorkingBytes> working_bytes(const ServeOptions& options, const model::OpenedModel& opened,
                                   const MakeRehearsal& make_rehearsal);

// All that is taken of a device's memory, or on the host what steps and KV take of the free memory,
// is at most the share --gpu-memory-utilization of it; --swap-space is taken off before where it is
// the same memory. Where the options leave it open,
// there are blocks for every sequence at its longest, twice, so that prefixes stay cached. What
// cannot fit is refused before anything is allocated; errors name the flag to change and a value
// that fits.
Result<Capacity> choose_capacity(const ServeOptions& options, const model::ErnieConfig& config,
                                 const BackendLimits& backend, DType kv_dtype,
                                 const FreeMemory& free, const WorkingBytes& working);

}  // namespace erne::apps
