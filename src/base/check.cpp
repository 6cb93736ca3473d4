#include "base/check.h"

#include <cstdio>
#include <cstdlib>

#include "base/log.h"

namespace erne {

void check_failed(const char* file, int line, const char* condition, const std::string& detail) {
  flush_log();
  std::fprintf(stderr, "%s:%d: CHECK(%s) failed%s%s\n", file, line, condition,
               detail.empty() ? "" : ": ", detail.c_str());
  std::abort();
}

}  // namespace erne
