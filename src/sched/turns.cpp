#include "sched/turns.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace erne::sched {

Turns::PartyKey Turns::key_of(const Request& request) {
  return {request.client, request.party == 0 ? request.id : request.party};
}

const Turns::Holder& Turns::client_of(const Request& request) const {
  return clients_.at(request.client);
}

const Turns::Holder& Turns::party_of(const Request& request) const {
  return parties_.at(key_of(request));
}

void Turns::begin_waiting(Sequence& sequence) {
  const PartyKey key = key_of(sequence.request);
  const auto [party, is_new] = parties_.try_emplace(key);
  if (is_new) {
    party->second.since = ++turn_;
    Client& client = clients_[key.first];
    if (client.num_parties++ == 0) client.since = turn_;
  }
  CHECK(party->second.waiting.insert(&sequence).second);
  ++num_waiting_;
}

void Turns::end_waiting(Sequence& sequence) {
  const PartyKey key = key_of(sequence.request);
  CHECK_EQ(parties_.at(key).waiting.erase(&sequence), 1u);
  --num_waiting_;
  drop_if_empty(key);
}

void Turns::take_row(Sequence& sequence) {
  const PartyKey key = key_of(sequence.request);
  const uint64_t turn = ++turn_;
  for (Holder* holder :
       {static_cast<Holder*>(&parties_.at(key)), static_cast<Holder*>(&clients_.at(key.first))}) {
    ++holder->rows;
    holder->since = turn;
  }
  end_waiting(sequence);
}

void Turns::give_row(const Sequence& sequence) {
  const PartyKey key = key_of(sequence.request);
  --parties_.at(key).rows;
  --clients_.at(key.first).rows;
  drop_if_empty(key);
}

void Turns::drop_if_empty(const PartyKey& key) {
  const Party& party = parties_.at(key);
  if (party.rows > 0 || !party.waiting.empty()) return;
  parties_.erase(key);
  if (--clients_.at(key.first).num_parties == 0) clients_.erase(key.first);
}

Sequence* Turns::next_to_get_a_row_of(std::span<Sequence* const> running,
                                      const std::function<bool(const Sequence&)>& may_begin) const {
  int most_of_a_client = 0;
  std::map<uint64_t, int> most_of_a_party;  // by client
  for (const Sequence* sequence : running) {
    const Request& request = sequence->request;
    int& most = most_of_a_party[request.client];
    most = std::max(most, party_of(request).rows);
    most_of_a_client = std::max(most_of_a_client, client_of(request).rows);
  }
  return next([&](const Sequence& waiting) {
    const Request& request = waiting.request;
    const auto own = most_of_a_party.find(request.client);
    // Most cannot, and this costs less to see.
    const bool may_get = most_of_a_client > client_of(request).rows + 1 ||
                         (own != most_of_a_party.end() && own->second > party_of(request).rows + 1);
    return may_get && may_begin(waiting) && yields_to(waiting, running) != nullptr;
  });
}

Sequence* Turns::next(const std::function<bool(const Sequence&)>& may_begin) const {
  // Smaller is sooner.
  using Place = std::tuple<int, int, uint64_t, int, uint64_t>;
  Sequence* best = nullptr;
  Place best_place;
  for (const auto& [key, party] : parties_) {
    if (party.waiting.empty()) continue;
    Sequence* sequence = *party.waiting.begin();
    const Holder& client = clients_.at(key.first);
    const Place place{sequence->request.priority, client.rows, client.since, party.rows,
                      party.since};
    if (best != nullptr && !(place < best_place)) continue;
    if (!may_begin(*sequence)) continue;
    best = sequence;
    best_place = place;
  }
  return best;
}

bool Turns::yields_sooner(const Sequence& a, const Sequence& b) const {
  const auto place = [this](const Request& request) {
    return std::tuple(request.priority, client_of(request).rows, party_of(request).rows,
                      request.id);
  };
  return place(b.request) < place(a.request);
}

Sequence& Turns::first_to_yield(std::span<Sequence* const> running) const {
  CHECK(!running.empty());
  Sequence* first = running.front();
  for (Sequence* sequence : running)
    if (yields_sooner(*sequence, *first)) first = sequence;
  return *first;
}

Sequence* Turns::yields_to(const Sequence& waiting, std::span<Sequence* const> running) const {
  const Request& wants = waiting.request;
  Sequence* first = nullptr;
  for (Sequence* sequence : running) {
    const Request& has = sequence->request;
    if (has.priority < wants.priority) continue;
    const bool has_more = has.client == wants.client
                              ? party_of(has).rows > party_of(wants).rows + 1
                              : client_of(has).rows > client_of(wants).rows + 1;
    if (has_more && (first == nullptr || yields_sooner(*sequence, *first))) first = sequence;
  }
  return first;
}

void Turns::for_each_waiting(const std::function<void(const Sequence&)>& body) const {
  for (const auto& [key, party] : parties_)
    for (const Sequence* sequence : party.waiting) body(*sequence);
}

void Turns::check_rows(std::span<Sequence* const> running) const {
  std::map<PartyKey, int> rows;
  for (const Sequence* sequence : running) ++rows[key_of(sequence->request)];
  std::map<uint64_t, Client> clients;
  int num_waiting = 0;
  for (const auto& [key, party] : parties_) {
    CHECK_EQ(party.rows, rows.contains(key) ? rows.at(key) : 0);
    CHECK(party.rows > 0 || !party.waiting.empty());
    num_waiting += static_cast<int>(party.waiting.size());
    Client& client = clients[key.first];
    client.rows += party.rows;
    ++client.num_parties;
    rows.erase(key);
  }
  CHECK(rows.empty());
  CHECK_EQ(num_waiting, num_waiting_);
  CHECK_EQ(clients.size(), clients_.size());
  for (const auto& [id, client] : clients) {
    CHECK_EQ(client.rows, clients_.at(id).rows);
    CHECK_EQ(client.num_parties, clients_.at(id).num_parties);
  }
}

}  // namespace erne::sched
