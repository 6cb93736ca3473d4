// Moves rows into and blocks within the paged KV memory, in the order of panels.h.
#pragma once

#include <span>
#include <utility>

#include "backend/backend.h"
#include "cpu/machine/thread_pool.h"

namespace erne::cpu {

void write_kv(const KvWriteArgs& args, ThreadPool& pool);
void copy_kv_blocks(std::span<const KvLayerView> layers,
                    std::span<const std::pair<int32_t, int32_t>> copies, ThreadPool& pool);

}  // namespace erne::cpu
