// Which experts compute a token: Backend::route.
#pragma once

#include "backend/backend.h"
#include "cpu/machine/thread_pool.h"

namespace erne::cpu {

void choose_experts(const RouteArgs& args, ThreadPool& pool);

}  // namespace erne::cpu
