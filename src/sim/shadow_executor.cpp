#include "sim/shadow_executor.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"

namespace erne::sim {
namespace {

uint64_t hidden_of(PrefixHash prefix) {
  return mix64(prefix);
}

// The drafter's value for `token` after the position with this hidden state.
uint64_t draft_value(uint64_t hidden, sched::TokenId token) {
  return hash_combine(hidden, static_cast<uint64_t>(token));
}

constexpr uint64_t kBeforeFirst = 0;  // the hidden state before position 0

}  // namespace

ShadowExecutor::ShadowExecutor(const ShadowOptions& options)
    : options_(options), model_(options.vocabulary) {
  const kv::KvGeometry& geometry = options.geometry;
  slots_.resize(static_cast<size_t>(geometry.device_blocks + geometry.host_blocks) *
                geometry.block_tokens);
}

sched::StepResult ShadowExecutor::run(const sched::BatchPlan& plan) {
  for (const kv::BlockCopy& copy : plan.copies) copy_block(copy);
  for (const sched::PlanRow& row : plan.rows) {
    if (!is_well_formed(plan, row)) break;
  }
  sched::StepResult result{.step = plan.step};
  std::vector<std::vector<PrefixHash>> expected;
  if (fault_.empty()) {
    for (const sched::PlanRow& row : plan.rows) {
      expected.push_back(prefixes(plan, row));
      write(plan, row, expected.back());
    }
    // Every row has written before any is checked: a row that writes into another's block shows.
    for (size_t i = 0; i < plan.rows.size(); ++i) {
      check_history(plan, plan.rows[i], expected[i]);
      result.rows.push_back(answer(plan, plan.rows[i], expected[i]));
    }
  }
  if (!fault_.empty()) return {.step = plan.step, .failure = Status{Code::kInternal, fault_}};
  return result;
}

void ShadowExecutor::fault(const sched::PlanRow& row, const std::string& what) {
  if (!fault_.empty()) return;
  fault_ = fmt::format("request {}, tokens {} + {} ({} drafts): {}", row.request, row.first,
                       row.count, row.drafts, what);
}

void ShadowExecutor::copy_block(const kv::BlockCopy& copy) {
  const int block_tokens = options_.geometry.block_tokens;
  const auto begin = [&](kv::BlockId block) {
    return slots_.begin() + static_cast<ptrdiff_t>(block) * block_tokens;
  };
  const int num_blocks = options_.geometry.device_blocks + options_.geometry.host_blocks;
  if (std::min(copy.from, copy.to) < 0 || std::max(copy.from, copy.to) >= num_blocks) {
    return fault({}, fmt::format("copy of block {} to {} of {}", copy.from, copy.to, num_blocks));
  }
  const auto is_on_device = [&](kv::BlockId block) {
    return block < options_.geometry.device_blocks;
  };
  if (is_on_device(copy.from) == is_on_device(copy.to)) {
    return fault({}, fmt::format("copy of block {} to {} of its own tier", copy.from, copy.to));
  }
  std::copy_n(begin(copy.from), block_tokens, begin(copy.to));
}

bool ShadowExecutor::is_well_formed(const sched::BatchPlan& plan, const sched::PlanRow& row) {
  const sched::Sequence& sequence = *row.sequence;
  const int end = row.first + row.count;
  const auto tokens = std::span(plan.tokens).subspan(row.tokens.begin, row.tokens.size());
  const auto blocks = std::span(plan.blocks).subspan(row.blocks.begin, row.blocks.size());
  if (row.count < 1 || row.drafts < 0 || row.drafts >= row.count) {
    fault(row, "nothing to compute but drafts");
  } else if (static_cast<int>(tokens.size()) != row.count) {
    fault(row, fmt::format("{} tokens in the plan", tokens.size()));
  } else if (end - row.drafts > sequence.size()) {
    fault(row, fmt::format("the sequence has {}", sequence.size()));
  } else if (!std::equal(tokens.begin(), tokens.end() - row.drafts,
                         sequence.tokens.begin() + row.first)) {
    fault(row, "the plan's tokens are not the sequence's");
  } else if (static_cast<int>(blocks.size()) * options_.geometry.block_tokens < end) {
    fault(row, fmt::format("only {} blocks", blocks.size()));
  } else if (!std::ranges::all_of(blocks, [this](kv::BlockId block) {
               return block >= 0 && block < options_.geometry.device_blocks;
             })) {
    fault(row, "a block that is not the device's");
  }
  return fault_.empty();
}

ShadowExecutor::Slot& ShadowExecutor::slot(const sched::BatchPlan& plan, const sched::PlanRow& row,
                                           int position) {
  const int block_tokens = options_.geometry.block_tokens;
  const size_t block = plan.blocks[row.blocks.begin + position / block_tokens];
  return slots_[block * block_tokens + position % block_tokens];
}

// What the slots of positions [0, first + count) must hold.
std::vector<PrefixHash> ShadowExecutor::prefixes(const sched::BatchPlan& plan,
                                                 const sched::PlanRow& row) const {
  std::vector<PrefixHash> prefixes;
  PrefixHash prefix = kEmptyPrefix;
  for (int i = 0; i < row.first + row.count; ++i) {
    const bool is_before = i < row.first;
    prefix = extend(prefix, is_before ? row.sequence->tokens[i]
                                      : plan.tokens[row.tokens.begin + i - row.first]);
    prefixes.push_back(prefix);
  }
  return prefixes;
}

uint64_t ShadowExecutor::hidden_before(const sched::BatchPlan& plan, const sched::PlanRow& row) {
  if (row.first == 0) return kBeforeFirst;
  const Carried& carried = carried_[row.request];
  if (carried.position == row.first - 1) return carried.hidden;
  const PrefixHash attended = row.first == 1 ? kEmptyPrefix : slot(plan, row, row.first - 2).prefix;
  return hidden_of(extend(attended, row.sequence->tokens[row.first - 1]));
}

void ShadowExecutor::write(const sched::BatchPlan& plan, const sched::PlanRow& row,
                           const std::vector<PrefixHash>& prefixes) {
  uint64_t hidden = hidden_before(plan, row);
  for (int i = 0; i < row.count; ++i) {
    const int position = row.first + i;
    const sched::TokenId token = plan.tokens[row.tokens.begin + i];
    slot(plan, row, position) = {prefixes[position], draft_value(hidden, token)};
    hidden = hidden_of(prefixes[position]);
  }
}

void ShadowExecutor::check_history(const sched::BatchPlan& plan, const sched::PlanRow& row,
                                   const std::vector<PrefixHash>& prefixes) {
  for (int i = 0; i < row.first + row.count; ++i) {
    const sched::TokenId token =
        i < row.first ? row.sequence->tokens[i] : plan.tokens[row.tokens.begin + i - row.first];
    const uint64_t hidden = i == 0 ? kBeforeFirst : hidden_of(prefixes[i - 1]);
    const Slot& found = slot(plan, row, i);
    if (found.prefix != prefixes[i]) fault(row, fmt::format("wrong KV at position {}", i));
    if (found.draft_lane != draft_value(hidden, token)) {
      fault(row, fmt::format("wrong drafter KV at position {}", i));
    }
  }
}

sched::RowResult ShadowExecutor::answer(const sched::BatchPlan& plan, const sched::PlanRow& row,
                                        const std::vector<PrefixHash>& prefixes) {
  const sched::Request& request = row.sequence->request;
  const int prompt_size = row.sequence->prompt_size();
  const int end = row.first + row.count;
  sched::RowResult result;
  if (row.wants_prompt_logprobs) {
    for (int i = row.first + 1; i <= std::min(end, prompt_size - 1); ++i) {
      result.prompt_logprobs.push_back(
          model_.score(prefixes[i - 1], request.prompt[i], request.sampling.prompt_logprobs));
    }
  }
  int position = end - row.drafts - 1;
  int generated = row.sequence->generated();
  while (row.wants_token) {
    const sched::TokenId token = model_.next(prefixes[position], request, generated++);
    result.accepted.push_back(token);
    if (request.sampling.logprobs >= 0) {
      result.logprobs.push_back(model_.score(prefixes[position], token, request.sampling.logprobs));
    }
    const bool is_draft =
        position + 1 < end && plan.tokens[row.tokens.begin + position + 1 - row.first] == token;
    if (!is_draft) break;
    ++position;
  }
  carried_[row.request] = {position, hidden_of(prefixes[position])};
  if (row.wants_token) {
    result.drafts =
        propose(*row.sequence, extend(prefixes[position], result.accepted.back()), generated);
  }
  return result;
}

std::vector<sched::TokenId> ShadowExecutor::propose(const sched::Sequence& sequence,
                                                    PrefixHash prefix, int generated) const {
  std::vector<sched::TokenId> drafts;
  const uint64_t count = mix64(prefix) % (options_.max_drafts + 1);
  while (drafts.size() < count) {
    sched::TokenId token = model_.next(prefix, sequence.request, generated++);
    if (static_cast<int>(mix64(~prefix) % 100) >= options_.draft_accuracy) {
      token = (token + 1) % model_.vocabulary();
    }
    drafts.push_back(token);
    prefix = extend(prefix, token);
  }
  return drafts;
}

}  // namespace erne::sim
