#include "scenario.h"

#include <algorithm>

namespace erne::property {
namespace {

using sched::TokenId;

std::vector<TokenId> random_tokens(Dice& dice, int count, int vocabulary) {
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = dice.between(0, vocabulary - 1);
  return tokens;
}

// Prompts that begin alike, repeat each other, or have nothing in common.
std::vector<TokenId> random_prompt(Dice& dice, const Scenario& scenario,
                                   const std::vector<std::vector<TokenId>>& openings) {
  const auto& clients = scenario.clients;
  if (!clients.empty() && dice.one_in(5)) {
    return clients[dice.between(0, static_cast<int>(clients.size()) - 1)].request.prompt;
  }
  const std::vector<TokenId>& opening = dice.of(openings);
  std::vector<TokenId> prompt(opening.begin(),
                              opening.begin() + dice.between(0, static_cast<int>(opening.size())));
  const std::vector<TokenId> rest =
      random_tokens(dice, dice.between(0, 12), scenario.shadow.vocabulary);
  prompt.insert(prompt.end(), rest.begin(), rest.end());
  if (prompt.empty() && !dice.one_in(20)) prompt.push_back(0);
  return prompt;
}

sched::StopRules random_stop(Dice& dice, int vocabulary) {
  sched::StopRules stop;
  stop.max_new_tokens = dice.one_in(10) ? 0 : dice.between(1, dice.of<int>({5, 15, 45}));
  stop.min_new_tokens = dice.one_in(3) ? dice.between(0, stop.max_new_tokens) : 0;
  if (dice.between(1, 3) > 1) stop.eos_ids = {0};
  if (dice.one_in(4)) stop.stop_token_ids = {dice.between(0, vocabulary - 1)};
  stop.ignore_eos = dice.one_in(5);
  return stop;
}

Client random_client(Dice& dice, const Scenario& scenario,
                     const std::vector<std::vector<TokenId>>& openings, bool priorities) {
  Client client;
  sched::Request& request = client.request;
  request.prompt = random_prompt(dice, scenario, openings);
  request.stop = random_stop(dice, scenario.shadow.vocabulary);
  request.sampling.seed = dice.one_in(3) ? dice.between(0, 2) : 0;
  if (dice.one_in(4)) request.sampling.prompt_logprobs = dice.between(0, 2);
  if (dice.one_in(4)) request.sampling.logprobs = dice.between(0, 2);
  if (priorities) request.priority = dice.between(-1, 1);
  request.client = dice.between(0, 2);
  client.arrival = dice.one_in(2) ? 1 : dice.between(1, 25);
  if (dice.one_in(6)) {
    client.cancel = client.arrival + dice.between(0, 15);
    client.cancel_in_flight = dice.one_in(2);
  }
  return client;
}

int blocks_alone(const sched::Request& request, int block_tokens) {
  const int positions =
      static_cast<int>(request.prompt.size()) + std::max(request.stop.max_new_tokens - 1, 0);
  return (positions + block_tokens - 1) / block_tokens;
}

void random_limits(Dice& dice, Scenario& scenario) {
  sched::Limits& limits = scenario.limits;
  limits.max_rows = dice.one_in(8) ? 1 : dice.between(1, 8);
  limits.max_tokens = dice.one_in(4) ? dice.between(1, 4) : dice.between(4, 60);
  limits.max_drafts = dice.one_in(2) ? 0 : dice.between(1, 4);
  limits.min_free_blocks = dice.one_in(3) ? dice.between(1, 4) : 0;
  limits.share_prefixes = !dice.one_in(4);
  limits.chunk_prompts = !dice.one_in(4);
  limits.max_model_len = dice.one_in(4) ? dice.between(1, 50) : 1000;
  limits.max_waiting = dice.one_in(4) ? dice.between(1, 4) : 1000;
  if (dice.one_in(2)) limits.long_prompt = dice.between(1, 20);
  if (dice.one_in(3)) limits.max_long_prompts = dice.between(1, 4);
  if (dice.one_in(3)) limits.max_partial_prompts = dice.between(1, 4);
  if (dice.one_in(3)) limits.max_scored = dice.between(1, 6);
}

// From "one token each, always" to more than the limits allow.
std::vector<int> random_budgets(Dice& dice, int max_tokens) {
  if (dice.one_in(2)) return {max_tokens};  // crowded steps, where blocks run short
  const int largest = dice.of<int>({0, 3, max_tokens, max_tokens + 5});
  std::vector<int> budgets(dice.between(1, 8));
  for (int& budget : budgets) budget = dice.between(0, largest);
  return budgets;
}

}  // namespace

int Dice::between(int low, int high) {
  const uint64_t word = rng_.words(position_++)[0];
  return low + static_cast<int>(word % (static_cast<uint64_t>(high) - low + 1));
}

Scenario make_scenario(uint64_t seed) {
  Dice dice(seed);
  Scenario scenario;
  random_limits(dice, scenario);
  sim::ShadowOptions& shadow = scenario.shadow;
  shadow.vocabulary = dice.one_in(4) ? dice.between(1, 3) : dice.between(4, 40);
  shadow.max_drafts = dice.one_in(3) ? 0 : dice.between(1, 6);
  shadow.draft_accuracy = dice.of<int>({0, 50, 80, 100});
  kv::KvGeometry& geometry = shadow.geometry;
  geometry.block_tokens = dice.of<int>({1, 2, 3, 4, 4, 8, 16});
  if (dice.one_in(5)) scenario.key_mask = dice.of<uint64_t>({0x0, 0x3, 0x1F});

  std::vector<std::vector<TokenId>> openings;
  for (int i = dice.between(1, 3); i > 0; --i) {
    openings.push_back(random_tokens(dice, dice.between(1, 30), shadow.vocabulary));
  }
  const bool priorities = scenario.has_priorities = dice.one_in(3);
  for (int i = dice.between(1, 12); i > 0; --i) {
    scenario.clients.push_back(random_client(dice, scenario, openings, priorities));
  }
  std::ranges::stable_sort(scenario.clients, {}, &Client::arrival);

  int most = 1, all = 1;
  sched::RequestId party = 0;
  for (size_t i = 0; i < scenario.clients.size(); ++i) {
    sched::Request& request = scenario.clients[i].request;
    request.id = i + 1;
    // Choices of one question come one after the other.
    const bool with_previous = i > 0 && scenario.clients[i - 1].request.client == request.client;
    request.party = with_previous && dice.one_in(2) ? party : request.id;
    party = request.party;
    const int blocks = blocks_alone(request, geometry.block_tokens);
    most = std::max(most, blocks);
    all += blocks;
    scenario.all_tokens +=
        static_cast<int64_t>(request.prompt.size()) + request.stop.max_new_tokens;
  }
  // From too few for the largest request to more than enough for all.
  const int tight = most + dice.between(0, 3);
  geometry.device_blocks = dice.of<int>({tight, tight, tight, dice.between(most, all), all + 5});
  if (dice.one_in(10)) geometry.device_blocks = dice.between(1, most);
  scenario.has_room_for_all = geometry.device_blocks >= all + scenario.limits.min_free_blocks;
  if (dice.one_in(2)) geometry.host_blocks = dice.between(1, dice.one_in(2) ? 4 : all);
  scenario.token_budgets = random_budgets(dice, scenario.limits.max_tokens);
  return scenario;
}

}  // namespace erne::property
