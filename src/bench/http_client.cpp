#include "bench/http_client.h"

#include <fmt/format.h>

namespace erne::bench {
namespace {

constexpr long kGetTimeoutSeconds = 30;

// libcurl asks for one call before any other, from one thread. It is never undone: the process is
// done with HTTP only when it ends.
void start_curl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK_EQ(started, CURLE_OK);
}

size_t append_reply(char* bytes, size_t size, size_t count, void* into) {
  auto& reply = *static_cast<std::string*>(into);
  if (reply.size() + size * count > kMaxReplyBytes) return 0;  // libcurl gives up
  reply.append(bytes, size * count);
  return size * count;
}

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

}  // namespace

Result<BaseUrl> parse_base_url(const std::string& text) {
  const CurlUrl url(curl_url());
  const bool parsed = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) == CURLUE_OK;
  const std::string scheme = parsed ? url_part(url.get(), CURLUPART_SCHEME) : "";
  if (scheme != "http" && scheme != "https") {
    return invalid(
        fmt::format("--base-url is \"{}\"; it must look like http://127.0.0.1:8000", text),
        "base_url");
  }
  const std::string host = url_part(url.get(), CURLUPART_HOST);
  BaseUrl base{text, host == "localhost" || host.starts_with("127.") || host == "[::1]"};
  while (base.text.ends_with('/')) base.text.pop_back();
  return base;
}

CurlHeaders request_headers(const std::string& api_key) {
  curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
  list = curl_slist_append(list, "Expect:");  // send long bodies at once
  if (!api_key.empty())
    list = curl_slist_append(list, ("Authorization: Bearer " + api_key).c_str());
  return CurlHeaders(list);
}

CurlEasy make_request(const std::string& url, curl_slist* headers) {
  start_curl();
  CurlEasy handle(curl_easy_init());
  CHECK(handle != nullptr);
  curl_easy_setopt(handle.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(handle.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(handle.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle.get(), CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  return handle;
}

Result<std::string> http_get(const std::string& url, const std::string& api_key) {
  const auto headers = request_headers(api_key);
  const CurlEasy handle = make_request(url, headers.get());
  std::string reply;
  char error[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, append_reply);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &reply);
  curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(handle.get(), CURLOPT_TIMEOUT, kGetTimeoutSeconds);
  const CURLcode code = curl_easy_perform(handle.get());
  if (code != CURLE_OK) {
    return invalid(fmt::format("GET {}: {}", url, error[0] ? error : curl_easy_strerror(code)),
                   "base_url");
  }
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) return invalid(fmt::format("GET {}: HTTP {}", url, status), "base_url");
  return reply;
}

}  // namespace erne::bench
