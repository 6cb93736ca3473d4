// What a request holds of the server besides its exchange: its share of the memory for requests,
// who its client is among those that take turns, and the news whether that still waits. Made when
// the request has been read; goes with the last work for it.
#pragma once

#include <stop_token>
#include <string>
#include <utility>

#include "base/json.h"
#include "base/request_memory.h"
#include "base/status.h"

namespace erne::server {

struct RequestWork {
  RequestWork(RequestMemory& all, std::stop_token client_left, std::string whose = {})
      : memory(all), departure(std::move(client_left)), client(std::move(whose)) {}

  bool is_wanted() const { return !departure.stop_requested(); }

  RequestMemory::Claim memory;
  std::stop_token departure;
  std::string client;  // its address, with its key where keys are asked for; "": nobody's
};

// A body as JSON, claimed first. kInvalid: what it is not, or that it has more small values than
// any sensible body of its size. What was claimed for `body` is given back.
Result<Json> parse_body(std::string body, RequestWork& work);

}  // namespace erne::server
