#include "apps/listen_options.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "base/json.h"
#include "http/request_head.h"

namespace erne::apps {
namespace {

// Files the process needs besides connections: weights, the log, its own.
constexpr int kOtherFiles = 64;

// A flag's values, of which each is one entry or, as vLLM wants them, a JSON list of entries.
Result<std::vector<std::string>> entries(const char* flag, const std::vector<std::string>& values) {
  std::vector<std::string> out;
  for (const std::string& value : values) {
    if (!value.starts_with('[')) {
      out.push_back(value);
      continue;
    }
    const Result<Json> list = Json::parse(value);
    const bool strings = list.ok() && list->is_array() &&
                         std::all_of(list->as_array().begin(), list->as_array().end(),
                                     [](const Json& entry) { return entry.is_string(); });
    if (!strings)
      return invalid(
          fmt::format("{} {}: not a JSON list of strings, such as [\"a\", \"b\"]", flag, value),
          flag);
    for (const Json& entry : list->as_array()) out.push_back(entry.as_string());
  }
  return out;
}

// Takes an origin as browsers send it: anything else would never match.
bool is_origin(const std::string& text) {
  if (text == "*" || text == "null") return true;
  const size_t scheme = text.find("://");
  return scheme != std::string::npos && scheme > 0 && scheme + 3 < text.size() &&
         text.find_first_of("/?#@ ", scheme + 3) == std::string::npos;
}
bool is_name(const std::string& text) {
  return http::is_token(text);
}

Result<std::vector<std::string>> checked(const char* flag, const std::vector<std::string>& values,
                                         bool (*is_good)(const std::string&), const char* allowed) {
  std::vector<std::string> out = TRY(entries(flag, values));
  for (const std::string& entry : out)
    if (!is_good(entry)) return invalid(fmt::format("{} \"{}\": {}", flag, entry, allowed), flag);
  return out;
}

Result<http::CorsPolicy> cors_policy(const ServeOptions& options) {
  http::CorsPolicy policy;
  policy.origins = TRY(checked("--allowed-origins", options.allowed_origins, is_origin,
                               "write * or scheme://host[:port], without a path"));
  // Whoever asks for a key wants no page of another site to reach it unasked.
  if (options.allowed_origins.empty() && options.api_keys.empty()) policy.origins = {"*"};
  if (!options.allowed_methods.empty())
    policy.methods =
        TRY(checked("--allowed-methods", options.allowed_methods, is_name, "write * or a method"));
  if (!options.allowed_headers.empty())
    policy.headers = TRY(checked("--allowed-headers", options.allowed_headers, is_name,
                                 "write * or the name of a header"));
  policy.allow_credentials = options.allow_credentials;
  return policy;
}

}  // namespace

Result<server::ListenOptions> listen_options(const ServeOptions& options) {
  server::ListenOptions out;
  out.host = options.host;
  out.port = static_cast<int>(options.port);
  if (options.metrics_port != 0) out.metrics_port = static_cast<int>(options.metrics_port);
  out.api_keys = options.api_keys;
  out.web = options.web;
  out.cors = TRY(cors_policy(options));
  out.version = ERNE_VERSION;
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY) {
    const int most =
        std::max(8, static_cast<int>(std::min<rlim_t>(files.rlim_cur, 1 << 20)) - kOtherFiles);
    out.http.max_connections = std::min(out.http.max_connections, most);
    out.http.max_client_connections =
        std::min(out.http.max_client_connections, out.http.max_connections * 3 / 4);
  }
  return out;
}

std::string url_of(const std::string& host, int port) {
  std::string name = host;
  if (host == "0.0.0.0") name = "127.0.0.1";
  if (host == "::") name = "::1";
  if (name.find(':') != std::string::npos && !name.starts_with('[')) name = "[" + name + "]";
  return fmt::format("http://{}:{}", name, port);
}

}  // namespace erne::apps
