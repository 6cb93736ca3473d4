#include "engine/local_engine_client.h"

#include <utility>

namespace erne::engine {

Result<std::shared_ptr<TokenStream>> LocalEngineClient::submit(sched::Request request,
                                                               std::function<void()> on_ready) {
  if (Result<void> fits = sched::check_request(request, limits_, geometry_); !fits.ok()) {
    return fits.status();
  }
  auto stream = std::make_shared<TokenStream>(std::move(on_ready));
  Result<void> accepted = inbox_.submit({std::move(request), stream, clock_.now_us()});
  if (!accepted.ok()) return accepted.status();
  return stream;
}

}  // namespace erne::engine
