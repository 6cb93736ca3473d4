#include "server/standing.h"

#include "base/json.h"
#include "server/errors.h"

namespace erne::server {
namespace {

http::Response good() {
  return {.content_type = ""};
}
http::Response failed() {
  return error_response(503, "the engine has failed", "engine_failed");
}

}  // namespace

http::Response answer_version(const Standing& standing) {
  return {.body = Json().set("version", standing.version).dump()};
}

http::Response answer_load(const Standing& standing) {
  return {.body = Json()
                      .set("server_load", standing.num_admitted)  // vLLM's name
                      .set("running", standing.num_running)
                      .set("waiting", standing.num_waiting)
                      .dump()};
}

http::Response answer_live(const Standing& standing) {
  return standing.state == Standing::State::kFailed ? failed() : good();
}

http::Response answer_startup(const Standing& standing) {
  return standing.state == Standing::State::kLoading ? loading_response() : good();
}

http::Response answer_ready(const Standing& standing) {
  switch (standing.state) {
    case Standing::State::kLoading:
      return loading_response();
    case Standing::State::kFailed:
      return failed();
    case Standing::State::kDraining:
      return draining_response();
    case Standing::State::kServing:
      break;
  }
  return good();
}

}  // namespace erne::server
