// GET / and /web/NAME: the web page, in every state of the server and with no key, for it holds
// nothing that is secret: what it shows it asks for with the user's key.
#include "server/errors.h"
#include "server/page_files.h"
#include "server/routes.h"

namespace erne::server {
namespace {

// Scripts, styles and requests of this server alone, and none written into the page. Browsers that
// know trusted types also refuse to make HTML out of text, which is how hostile text becomes code.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

// The name of the file that a path means, or nothing.
std::string_view file_name(std::string_view path) {
  constexpr std::string_view kFolder = "/web/";
  if (path == "/") return "index.html";
  return path.starts_with(kFolder) ? path.substr(kFolder.size()) : std::string_view();
}

const PageFile* find_file(std::string_view name) {
  for (const PageFile& file : page_files())
    if (file.name == name) return &file;
  return nullptr;
}

// Browsers keep the files and ask each time whether they are still the same: a new version of the
// server never meets half of an old page.
http::Fields headers_of(const PageFile& file) {
  return {{"ETag", std::string(file.etag)},
          {"Cache-Control", "no-cache"},
          {"Content-Security-Policy", std::string(kContentSecurityPolicy)},
          {"X-Content-Type-Options", "nosniff"},
          {"Referrer-Policy", "no-referrer"},
          {"Cross-Origin-Resource-Policy", "same-origin"}};
}

}  // namespace

http::Response answer_page(const http::Request& request) {
  const PageFile* file = find_file(file_name(request.path));
  if (file == nullptr) return error_response(404, "the web page has no such file", "not_found");
  const bool is_known = request.field("if-none-match").find(file->etag) != std::string_view::npos;
  if (is_known) return {.status = 304, .content_type = "", .headers = headers_of(*file)};
  return {.content_type = std::string(file->content_type),
          .body = std::string(file->text),
          .headers = headers_of(*file)};
}

}  // namespace erne::server
