// erne_parity_test [GoogleTest's flags]
// erne_parity_test --perf [--threads N] [--only TEXT] [--reference]
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "parity/perf.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc < 2 || std::string_view(argv[1]) != "--perf") return RUN_ALL_TESTS();
  erne::parity::PerfOptions options;
  for (int i = 2; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const bool has_value = i + 1 < argc;
    if (flag == "--threads" && has_value) {
      options.threads = std::atoi(argv[++i]);
    } else if (flag == "--only" && has_value) {
      options.filter = argv[++i];
    } else if (flag == "--reference") {
      options.reference_too = true;
    } else {
      std::fprintf(stderr, "%s: allowed are --threads N, --only TEXT and --reference\n", argv[i]);
      return 2;
    }
  }
  erne::parity::print_perf(options);
  return 0;
}
