// HTTP by libcurl, the little that a load generator needs. Nothing is taken from the environment:
// no proxies, no .netrc.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>

#include "base/status.h"

namespace erne::bench {

template <auto free>
struct FreedBy {
  template <class T>
  void operator()(T* object) const {
    free(object);
  }
};
using CurlEasy = std::unique_ptr<CURL, FreedBy<curl_easy_cleanup>>;
using CurlMulti = std::unique_ptr<CURLM, FreedBy<curl_multi_cleanup>>;
using CurlUrl = std::unique_ptr<CURLU, FreedBy<curl_url_cleanup>>;
using CurlHeaders = std::unique_ptr<curl_slist, FreedBy<curl_slist_free_all>>;

// A server's address as the user gave it.
struct BaseUrl {
  std::string text;       // "http://host:port[/prefix]", no slash at the end
  bool is_local = false;  // on this machine: localhost or a loopback address
};
Result<BaseUrl> parse_base_url(const std::string& text);

// The headers of a request: JSON, and the bearer token unless `api_key` is empty.
CurlHeaders request_headers(const std::string& api_key);

// A handle with what all requests share. The handle keeps `url` and the headers' address.
CurlEasy make_request(const std::string& url, curl_slist* headers);

// GET, at most `kMaxReplyBytes` of reply. Fails unless the status is 200.
inline constexpr size_t kMaxReplyBytes = 4 << 20;
Result<std::string> http_get(const std::string& url, const std::string& api_key);

}  // namespace erne::bench
