#include "sim/shadow_model.h"

#include <algorithm>

#include "base/hash.h"

namespace erne::sim {
namespace {

bool contains(const std::vector<sched::TokenId>& ids, sched::TokenId token) {
  return std::ranges::find(ids, token) != ids.end();
}

bool may_end_with(const sched::StopRules& stop, sched::TokenId token) {
  if (contains(stop.stop_token_ids, token)) return true;
  return contains(stop.eos_ids, token) && !stop.ignore_eos;
}

float unit_log(uint64_t bits) {
  return -static_cast<float>(bits >> 52) / 256.0f;
}

}  // namespace

PrefixHash extend(PrefixHash prefix, sched::TokenId token) {
  return hash_combine(prefix, static_cast<uint64_t>(token) + 1);
}

sched::TokenId ShadowModel::next(PrefixHash prefix, const sched::Request& request,
                                 int generated) const {
  const uint64_t draw = hash_combine(prefix, request.sampling.seed);
  const bool masked = generated < request.stop.min_new_tokens;
  for (int tries = 0; tries < vocabulary_; ++tries) {
    const auto token = static_cast<sched::TokenId>((draw + tries) % vocabulary_);
    if (!masked || !may_end_with(request.stop, token)) return token;
  }
  return static_cast<sched::TokenId>(draw % vocabulary_);
}

sched::PositionLogprobs ShadowModel::score(PrefixHash prefix, sched::TokenId chosen, int k) const {
  const auto logprob = [prefix](sched::TokenId token) {
    return sched::TokenLogprob{token, unit_log(extend(prefix, token))};
  };
  sched::PositionLogprobs scored{logprob(chosen), {}};
  for (int i = 0; i < k; ++i) {
    scored.top.push_back(logprob(static_cast<sched::TokenId>((prefix + i) % vocabulary_)));
  }
  return scored;
}

ShadowText evaluate(const ShadowModel& model, const sched::Request& request) {
  const sched::StopRules& stop = request.stop;
  ShadowText text;
  PrefixHash prefix = kEmptyPrefix;
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    if (i > 0 && request.sampling.prompt_logprobs >= 0) {
      text.prompt_logprobs.push_back(
          model.score(prefix, request.prompt[i], request.sampling.prompt_logprobs));
    }
    prefix = extend(prefix, request.prompt[i]);
  }
  for (int i = 0; i < stop.max_new_tokens; ++i) {
    const sched::TokenId token = model.next(prefix, request, i);
    text.tokens.push_back(token);
    if (request.sampling.logprobs >= 0) {
      text.logprobs.push_back(model.score(prefix, token, request.sampling.logprobs));
    }
    if (i >= stop.min_new_tokens && may_end_with(stop, token)) {
      text.finish = sched::FinishReason::kStop;
      break;
    }
    prefix = extend(prefix, token);
  }
  return text;
}

}  // namespace erne::sim
