// Whether a model fits the memory that is free, asked before any of its weights is read: a sentence
// in place of the system's killer.
#pragma once

#include "apps/capacity.h"
#include "apps/serve_options.h"
#include "backend/backend.h"
#include "base/status.h"
#include "model/load_model.h"

namespace erne::apps {

// Counted are the weights as they will be packed, and of the KV cache and the workspace the least
// to serve with: if that does not fit, an error says how much each takes, what is free, and which
// quantisations would fit. If it is only the options that ask for too much (--swap-space is one),
// the error is choose_capacity()'s. On the host weights of a packed checkpoint are not counted:
// where they are too large they stay in the file.
Result<void> check_memory(const ServeOptions& options, const model::OpenedModel& opened,
                          Backend& backend, const FreeMemory& free, const WorkingBytes& working);

}  // namespace erne::apps
