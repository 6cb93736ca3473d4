// The door of an engine in this process.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "engine/engine_client.h"
#include "engine/inbox.h"
#include "kv/kv_geometry.h"
#include "sched/limits.h"

namespace erne::engine {

// The engine's current stats, for any thread.
class StatsBoard {
 public:
  void store(const EngineStats& stats) {
    const std::lock_guard lock(mutex_);
    stats_ = stats;
  }
  EngineStats load() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  mutable std::mutex mutex_;
  EngineStats stats_;
};

class LocalEngineClient final : public EngineClient {
 public:
  LocalEngineClient(const sched::Limits& limits, const kv::KvGeometry& geometry, const Clock& clock,
                    Inbox& inbox, const StatsBoard& board)
      : limits_(limits), geometry_(geometry), clock_(clock), inbox_(inbox), board_(board) {}

  sched::RequestId next_id() override { return last_id_.fetch_add(1) + 1; }
  Result<std::shared_ptr<TokenStream>> submit(sched::Request request,
                                              std::function<void()> on_ready) override;
  void cancel(sched::RequestId id) override { inbox_.cancel(id); }
  EngineStats stats() const override { return board_.load(); }

 private:
  const sched::Limits limits_;
  const kv::KvGeometry geometry_;
  const Clock& clock_;
  Inbox& inbox_;
  const StatsBoard& board_;
  std::atomic<sched::RequestId> last_id_ = 0;
};

}  // namespace erne::engine
