// The files of the web page (web/), embedded at build time by cmake/Page.cmake.
#pragma once

#include <span>
#include <string_view>

namespace erne::server {

struct PageFile {
  std::string_view name;  // "index.html"
  std::string_view content_type;
  std::string_view etag;  // of its bytes, with its quotes
  std::string_view text;
};

std::span<const PageFile> page_files();

}  // namespace erne::server
