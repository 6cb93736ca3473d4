#include "server/reply.h"

#include <fmt/format.h>

namespace erne::server {

std::string event_text(std::string_view data, std::string_view name) {
  return name.empty() ? fmt::format("data: {}\n\n", data)
                      : fmt::format("event: {}\ndata: {}\n\n", name, data);
}

Json ids_json(const std::vector<TokenId>& ids) {
  return Json::written(fmt::format("[{}]", fmt::join(ids, ",")));
}

}  // namespace erne::server
