// How prompts share the steps of a server: FastDeploy's --max-num-partial-prefills,
// --max-long-partial-prefills and --long-prefill-token-threshold as limits of the scheduler.
#pragma once

#include "apps/serve_options.h"
#include "base/status.h"
#include "sched/limits.h"

namespace erne::apps {

// Sets them in `limits`, whose max_model_len is known already. Errors name the flag to change.
Result<void> choose_prompt_limits(const ServeOptions& options, sched::Limits& limits);

}  // namespace erne::apps
