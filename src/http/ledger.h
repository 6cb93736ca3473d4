// What requests hold of the server before and while they are answered: connections, and bytes that
// have arrived, in all and per client. Bytes count once they are there, not when they are
// announced, so that nobody takes room by announcing. One client may have a part of everything
// only. Thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace erne::http {

class Ledger {
 public:
  struct Bounds {
    int connections, client_connections;
    size_t bytes, client_bytes;
  };
  enum class Answer { kYes, kFull, kClientFull };

  explicit Ledger(Bounds bounds) : bounds_(bounds) {}

  // From now on at most so many bytes, if that is less. What is held stays.
  void lower_bytes(size_t bytes, size_t client_bytes);

  Answer enter(const std::string& client);
  void leave(const std::string& client);
  // More bytes of the client's; with kYes they are counted, else they are not.
  Answer take(const std::string& client, size_t bytes);
  void give_back(const std::string& client, size_t bytes);
  int num_connections() const;
  size_t num_bytes() const;

 private:
  struct Account {
    int connections = 0;
    size_t bytes = 0;
  };

  void close_if_empty(const std::string& client);

  mutable std::mutex mutex_;
  Bounds bounds_;
  Account all_;
  std::unordered_map<std::string, Account> clients_;
};

// Bytes taken from a ledger, given back at the latest when this ends. One thread at a time.
class Charge {
 public:
  Charge(std::shared_ptr<Ledger> ledger, std::string client)
      : ledger_(std::move(ledger)), client_(std::move(client)) {}
  ~Charge() { set(0); }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

  // From now on `bytes` are held. What is refused is not counted.
  Ledger::Answer set(size_t bytes);

 private:
  const std::shared_ptr<Ledger> ledger_;
  const std::string client_;
  size_t bytes_ = 0;
};

}  // namespace erne::http
