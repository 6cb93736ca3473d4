// What the connections of one server share. Outlives them: they hold no work once the I/O threads
// are joined.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "http/cors.h"
#include "http/ledger.h"
#include "http/server.h"

namespace erne::http {

class Connection;

struct Hub {
  Hub(Limits limits, CorsPolicy cors, Handlers handlers)
      : limits(std::move(limits)),
        cors(std::move(cors)),
        handlers(std::move(handlers)),
        ledger(std::make_shared<Ledger>(
            Ledger::Bounds{this->limits.max_connections, this->limits.max_client_connections,
                           this->limits.max_total_bytes, this->limits.max_client_bytes})) {}

  const Limits limits;
  const CorsPolicy cors;
  const Handlers handlers;
  const std::shared_ptr<Ledger> ledger;
  std::atomic<bool> draining = false;

  std::mutex mutex;
  std::condition_variable changed;
  std::unordered_map<Connection*, std::weak_ptr<Connection>> connections;
  int num_answering = 0;  // requests handled but not completely answered
  bool stopped = false;

  void answering(int change) {
    {
      std::lock_guard lock(mutex);
      num_answering += change;
    }
    changed.notify_all();
  }
};

}  // namespace erne::http
