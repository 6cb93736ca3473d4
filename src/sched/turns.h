// Whose turn it is, where more sequences want a row than there are rows.
//
// Rows are shared among clients and, of one client's, among its parties: the requests that came
// together, such as the n choices of one question. The next row goes to the most important
// priority; then to the client that holds the fewest rows and, of those, has waited longest since
// it came or last took one; then to its party by the same two; then to the sequence that came
// first. So a client without a row never stands behind another's second one, nor a party behind a
// party's: whoever asks for 128 choices holds as many rows as nobody else wants. And nobody
// starves: a client is overtaken at most once by each that came before it, and never by one that
// came later and holds as many rows.
//
// Owned by the Scheduler; keeps pointers to its sequences.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "sched/sequence.h"

namespace erne::sched {

// By priority, then by age.
struct MoreImportant {
  bool operator()(const Sequence* a, const Sequence* b) const {
    return std::pair(a->request.priority, a->request.id) <
           std::pair(b->request.priority, b->request.id);
  }
};

class Turns {
 public:
  void begin_waiting(Sequence& sequence);
  void end_waiting(Sequence& sequence);
  void take_row(Sequence& sequence);  // and waits no more
  void give_row(const Sequence& sequence);

  int num_waiting() const { return num_waiting_; }
  // The waiting one whose turn is next, of those that may begin; null: none. Of a party only the
  // most important is asked for.
  Sequence* next(const std::function<bool(const Sequence&)>& may_begin) const;
  // Likewise, of those that one of the running sequences yields to.
  Sequence* next_to_get_a_row_of(std::span<Sequence* const> running,
                                 const std::function<bool(const Sequence&)>& may_begin) const;
  // The running sequence that is the first to give its row back; the most important one is the
  // last. At least one runs.
  Sequence& first_to_yield(std::span<Sequence* const> running) const;
  // The one that gives its row to `waiting`, so that both hold more equal numbers of rows than
  // before; null: the rows are shared well. It is never more important than `waiting` by priority.
  Sequence* yields_to(const Sequence& waiting, std::span<Sequence* const> running) const;

  void for_each_waiting(const std::function<void(const Sequence&)>& body) const;
  // CHECKs that the rows are those of these sequences.
  void check_rows(std::span<Sequence* const> running) const;

 private:
  using PartyKey = std::pair<uint64_t, RequestId>;  // client, party
  struct Holder {
    int rows = 0;
    uint64_t since = 0;  // the turn at which it came or last took a row
  };
  struct Party : Holder {
    std::set<Sequence*, MoreImportant> waiting;
  };
  struct Client : Holder {
    int num_parties = 0;
  };

  static PartyKey key_of(const Request& request);
  const Holder& client_of(const Request& request) const;
  const Holder& party_of(const Request& request) const;
  bool yields_sooner(const Sequence& a, const Sequence& b) const;
  void drop_if_empty(const PartyKey& key);

  std::map<PartyKey, Party> parties_;   // that have a row or wait for one
  std::map<uint64_t, Client> clients_;  // that have a party
  uint64_t turn_ = 0;
  int num_waiting_ = 0;
};

}  // namespace erne::sched
