// What a request's output must look like, for the executor: the grammar of its answer, the thought
// before it, and how both meet what else ends an output.
#pragma once

#include <memory>
#include <span>

#include "base/status.h"
#include "grammar/answer_constraint.h"
#include "server/generation_request.h"
#include "server/request_work.h"
#include "server/server_context.h"

namespace erne::server {

// Of the field that asks for one, which the Status names with the place in it; null: none does.
Result<std::shared_ptr<const grammar::Grammar>> compile_grammar(const ServerContext& context,
                                                                const GenerationRequest& request,
                                                                RequestWork& work);

// To a choice that continues `prompt` and has its stop rules already.
void set_answer_rules(const ServerContext& context, const GenerationRequest& request,
                      std::shared_ptr<const grammar::Grammar> grammar,
                      std::span<const TokenId> prompt, sched::Request& choice);

}  // namespace erne::server
