#include "http/ledger.h"

#include <algorithm>

namespace erne::http {

void Ledger::lower_bytes(size_t bytes, size_t client_bytes) {
  std::lock_guard lock(mutex_);
  bounds_.bytes = std::min(bounds_.bytes, bytes);
  bounds_.client_bytes = std::min(bounds_.client_bytes, client_bytes);
}

Ledger::Answer Ledger::enter(const std::string& client) {
  std::lock_guard lock(mutex_);
  if (all_.connections >= bounds_.connections) return Answer::kFull;
  Account& account = clients_[client];
  if (account.connections >= bounds_.client_connections) return Answer::kClientFull;
  ++account.connections;
  ++all_.connections;
  return Answer::kYes;
}

void Ledger::leave(const std::string& client) {
  std::lock_guard lock(mutex_);
  --clients_[client].connections;
  --all_.connections;
  close_if_empty(client);
}

Ledger::Answer Ledger::take(const std::string& client, size_t bytes) {
  std::lock_guard lock(mutex_);
  if (bytes > bounds_.bytes - std::min(bounds_.bytes, all_.bytes)) return Answer::kFull;
  Account& account = clients_[client];
  if (bytes > bounds_.client_bytes - std::min(bounds_.client_bytes, account.bytes)) {
    close_if_empty(client);
    return Answer::kClientFull;
  }
  account.bytes += bytes;
  all_.bytes += bytes;
  return Answer::kYes;
}

void Ledger::give_back(const std::string& client, size_t bytes) {
  if (bytes == 0) return;
  std::lock_guard lock(mutex_);
  clients_[client].bytes -= bytes;
  all_.bytes -= bytes;
  close_if_empty(client);
}

void Ledger::close_if_empty(const std::string& client) {
  const auto found = clients_.find(client);
  if (found != clients_.end() && found->second.connections == 0 && found->second.bytes == 0)
    clients_.erase(found);
}

int Ledger::num_connections() const {
  std::lock_guard lock(mutex_);
  return all_.connections;
}

size_t Ledger::num_bytes() const {
  std::lock_guard lock(mutex_);
  return all_.bytes;
}

Ledger::Answer Charge::set(size_t bytes) {
  if (bytes > bytes_) {
    const Ledger::Answer answer = ledger_->take(client_, bytes - bytes_);
    if (answer != Ledger::Answer::kYes) return answer;
  } else {
    ledger_->give_back(client_, bytes_ - bytes);
  }
  bytes_ = bytes;
  return Ledger::Answer::kYes;
}

}  // namespace erne::http
