// A sequence is a request's tokens while the engine works on them. The first `computed` of them
// have keys and values in the cache, and steps compute further ones until `computed` has caught up.
// Chunks of a prompt, prefix hits, preemption and drafts are values of these fields, not modes.
// Plain data, owned by the Scheduler.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kv/kv_cache.h"
#include "sched/request.h"

namespace erne::sched {

enum class State { kWaiting, kRunning };

// What an executor keeps about a sequence from step to step: the executor makes it and alone reads
// it, and it ends with the sequence.
struct ExecutorNotes {
  virtual ~ExecutorNotes() = default;
};

struct Sequence {
  Request request;
  std::vector<TokenId> tokens;  // prompt + accepted output
  std::vector<TokenId> drafts;  // unverified continuation, never part of `tokens`
  int computed = 0;             // tokens[0, computed) have KV in `kv`
  int scored = 0;               // prompt_logprobs handed out: those of prompt tokens [1, scored]
  int cached_tokens = -1;       // what the first admission found in the prefix cache; -1: none yet
  int from_host = 0;            // the most of it that came back from the host's tier at once
  kv::KvHold kv;
  State state = State::kWaiting;
  int planned = 0;         // tokens in the current plan, drafts included
  bool cancelled = false;  // while in a plan; its commit ends the sequence
  std::unique_ptr<ExecutorNotes> notes;

  int size() const { return static_cast<int>(tokens.size()); }
  int num_drafts() const { return static_cast<int>(drafts.size()); }
  int prompt_size() const { return static_cast<int>(request.prompt.size()); }
  int generated() const { return size() - prompt_size(); }
  // 1 + k means decode and verify k drafts; without drafts, more than 1 means prefill.
  int work() const { return size() + num_drafts() - computed; }
  bool decodes() const { return size() - computed == 1; }
  bool wants_prompt_logprobs() const {
    return request.sampling.prompt_logprobs >= 0 && scored < prompt_size() - 1;
  }
};

// Why the sequence ends with what it has, if it does. Only the newest token can end it by a stop
// rule.
std::optional<FinishReason> finish_after(const Sequence& sequence);

}  // namespace erne::sched
