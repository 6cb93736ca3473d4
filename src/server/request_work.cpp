#include "server/request_work.h"

#include <fmt/format.h>

namespace erne::server {
namespace {

// What a body may come to as JSON values: enough for any list of token ids and any chat, and no
// more than a few times the body.
constexpr size_t kBytesPerByte = 8;
constexpr size_t kBytesForAnybody = size_t{1} << 20;

}  // namespace

Result<Json> parse_body(std::string body, RequestWork& work) {
  const size_t cost = Json::parsing_cost(body);
  const size_t allowed = kBytesForAnybody + kBytesPerByte * body.size();
  if (cost > allowed)
    return invalid(
        fmt::format("the body's {} bytes of JSON are so many small values that they would take {} "
                    "bytes of memory; allowed are {} for a body of this size",
                    body.size(), cost, allowed));
  TRY(work.memory.take(cost, "the request's JSON"));
  Json json = TRY(Json::parse(body));
  work.memory.give_back(body.size());
  return json;
}

}  // namespace erne::server
