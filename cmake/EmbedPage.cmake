# cmake -DOUTPUT=page_files.cpp -DFILES=a.html;b.js -P EmbedPage.cmake: see Page.cmake.
set(TYPE_html "text/html; charset=utf-8")
set(TYPE_css "text/css; charset=utf-8")
set(TYPE_js "text/javascript; charset=utf-8")
set(TYPE_svg "image/svg+xml")

set(rows "")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  get_filename_component(kind ${file} LAST_EXT)
  string(SUBSTRING ${kind} 1 -1 kind)
  file(READ ${file} text)
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 32 hash)
  string(FIND "${text}" ")erne_page\"" end_mark)
  if(NOT end_mark EQUAL -1)
    message(FATAL_ERROR "${file} has the mark that ends an embedded file")
  endif()
  string(APPEND rows "    {\"${name}\", \"${TYPE_${kind}}\", \"\\\"${hash}\\\"\", R\"erne_page(${text})erne_page\"},\n")
endforeach()

file(WRITE ${OUTPUT} "// Made by cmake/EmbedPage.cmake out of web/.
#include \"server/page_files.h\"

namespace erne::server {
namespace {

constexpr PageFile kPageFiles[] = {
${rows}};

}  // namespace

std::span<const PageFile> page_files() {
  return kPageFiles;
}

}  // namespace erne::server
")
