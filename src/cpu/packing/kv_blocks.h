// Moves rows into the paged KV memory, in the order of panels.h.
#pragma once

#include "backend/backend.h"
#include "cpu/machine/thread_pool.h"

namespace erne::cpu {

void write_kv(const KvWriteArgs& args, ThreadPool& pool);

}  // namespace erne::cpu
