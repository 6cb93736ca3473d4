#include "apps/progress.h"

#include <fmt/format.h>
#include <unistd.h>

namespace erne::apps {

std::function<void(size_t done, size_t total)> tensor_progress(std::string what) {
  if (!isatty(STDERR_FILENO)) return [](size_t, size_t) {};
  return [what = std::move(what)](size_t done, size_t total) {
    fmt::print(stderr, "\r{}: {}/{} tensors{}", what, done, total, done == total ? "\n" : "");
  };
}

}  // namespace erne::apps
