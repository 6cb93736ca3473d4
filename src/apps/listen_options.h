// What the flags say about ports, keys and who may ask.
#pragma once

#include <string>

#include "apps/serve_options.h"
#include "base/status.h"
#include "server/server_options.h"

namespace erne::apps {

Result<server::ListenOptions> listen_options(const ServeOptions& options);

// The address to write into a browser for a server that listens on `host`.
std::string url_of(const std::string& host, int port);

}  // namespace erne::apps
