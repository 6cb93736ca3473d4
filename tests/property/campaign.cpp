#include "campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "base/hash.h"
#include "kv/kv_cache.h"
#include "sched/scheduler.h"

namespace erne::property {
namespace {

using sched::FinishReason;

constexpr int kMaxSteps = 20000;  // far beyond what any scenario needs: it does not end

bool equal(const sched::PositionLogprobs& a, const sched::PositionLogprobs& b) {
  const auto same = [](const sched::TokenLogprob& x, const sched::TokenLogprob& y) {
    return x.token == y.token && x.logprob == y.logprob;
  };
  return same(a.chosen, b.chosen) && std::ranges::equal(a.top, b.top, same);
}

template <class T, class Equal>
bool is_prefix(const std::vector<T>& part, const std::vector<T>& whole, Equal same) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin(), same);
}

// What one client has received so far.
struct Received {
  const Client* client = nullptr;
  sim::ShadowText expected;
  sim::ShadowText text;
  bool submitted = false, ended = false;
  int64_t steps_waited = 0;
  FinishReason finish = FinishReason::kError;
};

class Campaign {
 public:
  explicit Campaign(const Scenario& scenario)
      : scenario_(scenario),
        executor_(scenario.shadow),
        cache_(scenario.shadow.geometry, scenario.key_mask),
        scheduler_(scenario.limits, cache_) {
    for (const Client& client : scenario.clients) {
      Received& received = received_[client.request.id];
      received.client = &client;
      received.expected = sim::evaluate(executor_.model(), client.request);
    }
  }

  Outcome run() {
    while (outcome_.fault.empty() && (num_ended_ < received_.size() || !scheduler_.idle())) {
      if (++outcome_.steps > kMaxSteps) {
        fail(fmt::format("{} of {} requests never end", received_.size() - num_ended_,
                         received_.size()));
        break;
      }
      step();
    }
    if (outcome_.fault.empty()) check_end();
    outcome_.preemptions = scheduler_.stats().preemptions;
    outcome_.cached_tokens = scheduler_.stats().cached_prompt_tokens;
    return outcome_;
  }

 private:
  void step() {
    for (auto& [id, received] : received_) submit(received);
    cancel(false);
    const std::vector<int>& budgets = scenario_.token_budgets;
    const int token_budget = budgets[outcome_.steps % budgets.size()];
    const sched::BatchPlan& plan = scheduler_.plan(outcome_.steps, token_budget);
    scheduler_.check_invariants();
    check_plan(plan, token_budget);
    cancel(true);
    scheduler_.check_invariants();
    sched::StepResult result =
        plan.rows.empty() ? sched::StepResult{.step = plan.step} : executor_.run(plan);
    if (result.failure) return fail(result.failure->message);
    count_drafts(plan, result);
    for (const sched::TokenEvent& event : scheduler_.commit(std::move(result))) receive(event);
    scheduler_.check_invariants();
  }

  void submit(Received& received) {
    const Client& client = *received.client;
    if (received.submitted || client.arrival > outcome_.steps) return;
    const int waiting = scheduler_.stats().waiting;
    const Result<void> added = scheduler_.add(client.request);
    if (!added.ok() && added.status().code == Code::kOverloaded) {
      if (waiting < scenario_.limits.max_waiting) fail("overloaded with room to wait");
      return;  // tries again before the next step
    }
    if (added.ok() && waiting >= scenario_.limits.max_waiting) fail("more wait than may");
    received.submitted = true;
    if (added.ok() != fits_alone(client.request)) {
      fail(fmt::format("request {}: fits alone {}, accepted {}", client.request.id,
                       fits_alone(client.request), added.ok()));
    }
    if (added.ok()) return;
    ++outcome_.refused;
    end(received);
  }

  // Written apart from sched::check_request, as its oracle.
  bool fits_alone(const sched::Request& request) const {
    const sched::Limits& limits = scenario_.limits;
    const kv::KvGeometry& geometry = scenario_.shadow.geometry;
    const int prompt = static_cast<int>(request.prompt.size());
    if (prompt == 0 || prompt + request.stop.max_new_tokens > limits.max_model_len) return false;
    if (!limits.chunk_prompts && prompt > limits.max_tokens) return false;
    const int last = prompt - 1 + std::max(0, request.stop.max_new_tokens - 1);
    return last / geometry.block_tokens < geometry.device_blocks;
  }

  void cancel(bool in_flight) {
    for (const auto& [id, received] : received_) {
      const Client& client = *received.client;
      if (client.cancel == outcome_.steps && client.cancel_in_flight == in_flight) {
        scheduler_.cancel(id);
      }
    }
  }

  void check_plan(const sched::BatchPlan& plan, int token_budget) {
    const sched::Limits& limits = scenario_.limits;
    const int running = scheduler_.stats().running;
    int num_tokens = 0, num_blocks = 0;
    for (size_t i = 0; i < plan.rows.size(); ++i) {
      const sched::PlanRow& row = plan.rows[i];
      const sched::Request& request = received_.at(row.request).client->request;
      const int prompt = static_cast<int>(request.prompt.size());
      if (row.tokens.begin != num_tokens || row.blocks.begin != num_blocks)
        fail("gaps in the plan");
      num_tokens += row.count;
      num_blocks += row.blocks.size();
      if (row.count < 1) fail("a row without work");
      if (row.drafts > limits.max_drafts) fail("too many drafts");
      const bool is_chunk = row.first + row.count < prompt;
      if (is_chunk) ++outcome_.chunked_rows;
      if (is_chunk && !limits.chunk_prompts && row.sequence->generated() == 0) {
        fail("a chunk of a prompt though prompts are not chunked");
      }
      const size_t scored = received_.at(row.request).text.prompt_logprobs.size();
      if (row.wants_prompt_logprobs && row.first + row.count <= static_cast<int>(scored)) {
        fail("scores nothing but what it has scored before");
      }
      if (i > 0 && !comes_before(plan.rows[i - 1], row)) fail("rows are not in order");
    }
    if (static_cast<int>(plan.rows.size()) != running) fail("a running sequence stands still");
    if (running > limits.max_rows) fail("too many rows");
    if (num_tokens > limits.max_tokens) fail("too many tokens");
    if (limits.chunk_prompts && num_tokens > std::max(token_budget, running)) {
      fail("beyond the step's budget");
    }
    if (num_tokens < limits.max_tokens && has_prompt_left(plan)) ++outcome_.cut_steps;
    check_prompts(plan);
    check_turns(plan);
    if (num_tokens != static_cast<int>(plan.tokens.size())) fail("stray tokens");
    if (num_blocks != static_cast<int>(plan.blocks.size())) fail("stray blocks");
    if (plan.rows.empty() && !plan.copies.empty()) fail("copies for no row");
    outcome_.copies += static_cast<int64_t>(plan.copies.size());
    digest(plan);
  }

  // What a step may score, and how many prompts it may leave unfinished.
  void check_prompts(const sched::BatchPlan& plan) {
    const sched::Limits& limits = scenario_.limits;
    if (!limits.chunk_prompts) return;
    int scoring_rows = 0, scored = 0, partial = 0, partial_long[] = {0, 0};
    for (const sched::PlanRow& row : plan.rows) {
      if (row.wants_prompt_logprobs) {
        ++scoring_rows;
        scored += row.count;
      }
      const int left = row.sequence->size() - row.first;
      if (row.count >= left) continue;
      ++partial;
      partial_long[row.sequence->wants_prompt_logprobs()] += left > limits.long_prompt;
    }
    if (scored > std::max(limits.max_scored, scoring_rows)) fail("scores too many tokens");
    if (partial > limits.max_partial_prompts) fail("too many unfinished prompts");
    for (const int num_long : partial_long)
      if (num_long > limits.max_long_prompts) fail("too many unfinished long prompts");
  }

  // Where sequences can be short of rows alone and wait for none more important: no client holds
  // two rows more than one that waits, nor a party two more than a waiting one of its client (in
  // both the first of a party's requests speaks for it), and
  // nobody waits for more steps than there are tokens to compute.
  void check_turns(const sched::BatchPlan& plan) {
    const sched::Limits& limits = scenario_.limits;
    if (!scenario_.has_room_for_all || scenario_.has_priorities || !limits.chunk_prompts) return;
    std::map<uint64_t, int> client_rows;
    std::map<std::pair<uint64_t, uint64_t>, int> party_rows;
    std::set<sched::RequestId> running;
    for (const sched::PlanRow& row : plan.rows) {
      const sched::Request& request = row.sequence->request;
      ++client_rows[request.client];
      ++party_rows[{request.client, request.party}];
      running.insert(row.request);
    }
    const int most_rows = std::min(limits.max_rows, limits.max_tokens);
    std::set<sched::RequestId> waiting_parties;
    for (auto& [id, received] : received_) {
      const bool leaves = received.client->cancel == outcome_.steps;
      if (!received.submitted || received.ended || leaves || running.contains(id)) continue;
      ++received.steps_waited;
      outcome_.longest_wait = std::max(
          outcome_.longest_wait, received.steps_waited / static_cast<double>(scenario_.all_tokens));
      if (received.steps_waited > scenario_.all_tokens)
        return fail(fmt::format("request {} waits too long", id));
      const sched::Request& waits = received.client->request;
      const bool is_first = waiting_parties.insert(waits.party).second;
      const bool is_full = static_cast<int>(running.size()) == most_rows;
      if (!is_first || !is_full || !waits_for_a_row(received)) continue;
      ++outcome_.waits_for_a_row;
      for (const sched::PlanRow& row : plan.rows) {
        const sched::Request& runs = row.sequence->request;
        const int more =
            runs.client == waits.client
                ? party_rows[{runs.client, runs.party}] - party_rows[{waits.client, waits.party}]
                : client_rows[runs.client] - client_rows[waits.client];
        if (more > 1)
          return fail(
              fmt::format("{} waits, those of {} hold {} rows more", id, row.request, more));
      }
    }
  }

  // And not for the end of other prompts.
  bool waits_for_a_row(const Received& received) const {
    const sched::Limits& limits = scenario_.limits;
    const sched::Request& request = received.client->request;
    const size_t size = request.prompt.size() + received.text.tokens.size();
    return request.sampling.prompt_logprobs < 0 && limits.max_partial_prompts > limits.max_rows &&
           static_cast<int>(size) <= limits.long_prompt;
  }

  static bool has_prompt_left(const sched::BatchPlan& plan) {
    return std::ranges::any_of(plan.rows, [](const sched::PlanRow& row) {
      return row.first + row.count < row.sequence->size();
    });
  }

  bool comes_before(const sched::PlanRow& a, const sched::PlanRow& b) const {
    const int priority_a = received_.at(a.request).client->request.priority;
    const int priority_b = received_.at(b.request).client->request.priority;
    return priority_a != priority_b ? priority_a < priority_b : a.request < b.request;
  }

  void digest(const sched::BatchPlan& plan) {
    const auto add = [this](const auto& values) {
      outcome_.digest =
          hash_bytes(values.data(), values.size() * sizeof(values[0]), outcome_.digest);
    };
    for (const sched::PlanRow& row : plan.rows) {
      add(std::vector<int64_t>{plan.step, static_cast<int64_t>(row.request), row.first, row.count,
                               row.drafts, row.wants_token, row.wants_prompt_logprobs,
                               row.tokens.begin, row.tokens.end, row.blocks.begin, row.blocks.end});
    }
    add(plan.tokens);
    add(plan.blocks);
    add(plan.copies);
  }

  void count_drafts(const sched::BatchPlan& plan, const sched::StepResult& result) {
    for (size_t i = 0; i < plan.rows.size(); ++i) {
      if (plan.rows[i].drafts == 0) continue;
      const int accepted = static_cast<int>(result.rows[i].accepted.size()) - 1;
      outcome_.accepted_drafts += accepted;
      outcome_.rejected_drafts += plan.rows[i].drafts - accepted;
    }
  }

  void receive(const sched::TokenEvent& event) {
    Received& received = received_.at(event.id);
    const auto append = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(received.text.tokens, event.tokens);
    append(received.text.logprobs, event.logprobs);
    append(received.text.prompt_logprobs, event.prompt_logprobs);
    if (received.ended) return fail(fmt::format("request {}: an event after its end", event.id));
    const int prompt = static_cast<int>(received.client->request.prompt.size());
    if (event.cached_tokens < 0 || event.cached_tokens >= prompt)
      fail("cached tokens out of range");
    if (!event.finish && event.tokens.empty() && event.prompt_logprobs.empty()) fail("empty event");
    check_text(received, event.finish);
    if (event.finish) {
      received.finish = *event.finish;
      end(received);
    }
  }

  void check_text(const Received& received, std::optional<FinishReason> finish) {
    const sim::ShadowText& expected = received.expected;
    const sim::ShadowText& text = received.text;
    const sched::RequestId id = received.client->request.id;
    if (!is_prefix(text.tokens, expected.tokens, std::equal_to<>()) ||
        !is_prefix(text.logprobs, expected.logprobs, equal) ||
        !is_prefix(text.prompt_logprobs, expected.prompt_logprobs, equal)) {
      return fail(fmt::format("request {}: not the text of sequential evaluation", id));
    }
    if (!text.tokens.empty() && text.prompt_logprobs.size() < expected.prompt_logprobs.size()) {
      return fail(fmt::format("request {}: output before its prompt was scored", id));
    }
    if (received.client->request.sampling.logprobs >= 0 &&
        text.logprobs.size() != text.tokens.size()) {
      return fail(fmt::format("request {}: a token without logprobs", id));
    }
    if (!finish) return;
    if (*finish == FinishReason::kCancelled) {
      ++outcome_.cancelled;
      const int cancel = received.client->cancel;
      if (cancel != outcome_.steps) fail(fmt::format("request {}: late or odd cancel", id));
    } else if (*finish != expected.finish || text.tokens.size() != expected.tokens.size() ||
               text.prompt_logprobs.size() != expected.prompt_logprobs.size()) {
      fail(fmt::format("request {}: ended with {} of {} tokens", id, text.tokens.size(),
                       expected.tokens.size()));
    }
  }

  void end(Received& received) {
    received.ended = true;
    ++num_ended_;
  }

  void check_end() {
    scheduler_.check_invariants();
    const kv::KvGeometry& geometry = scenario_.shadow.geometry;
    if (cache_.available_blocks() != geometry.device_blocks) fail("blocks are missing at the end");
    if (!scenario_.limits.share_prefixes && cache_.free_blocks() != geometry.device_blocks) {
      fail("cached blocks without sharing");
    }
  }

  void fail(const std::string& what) {
    if (outcome_.fault.empty()) {
      outcome_.fault = fmt::format("step {}: {}", outcome_.steps, what);
    }
  }

  const Scenario& scenario_;
  sim::ShadowExecutor executor_;
  kv::KvCache cache_;
  sched::Scheduler scheduler_;
  std::map<sched::RequestId, Received> received_;
  size_t num_ended_ = 0;
  Outcome outcome_;
};

}  // namespace

Outcome run_scenario(const Scenario& scenario) {
  return Campaign(scenario).run();
}

}  // namespace erne::property
