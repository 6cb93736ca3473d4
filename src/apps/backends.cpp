#include "apps/backends.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <system_error>

#include "cpu/cpu_backend.h"
#include "cpu/machine/host_memory.h"

namespace erne::apps {
namespace {

constexpr int kThreadsAnywhere = 64, kThreadsPerCpu = 4;

struct BackendRow {
  std::string name, summary;
  bool is_available;  // on this machine
  std::function<std::unique_ptr<Backend>(int threads)> make;
};

// The best first: "auto" takes the first that is available.
std::vector<BackendRow> backends() {
  std::vector<BackendRow> rows;
  for (const cpu::CpuIsa isa : cpu::kCpuIsas)
    rows.push_back({cpu::cpu_isa_name(isa), fmt::format("CPU, {} kernels", cpu::cpu_isa_name(isa)),
                    cpu::cpu_supports(isa),
                    [isa](int threads) { return cpu::make_cpu_backend(isa, threads); }});
  std::ranges::reverse(rows);
  return rows;
}

Result<BackendRow> find_backend(std::string_view name) {
  for (BackendRow& row : backends()) {
    if (name == "auto" && row.is_available) return std::move(row);
    if (name != row.name) continue;
    if (row.is_available) return std::move(row);
    return unsupported(
        fmt::format("this machine has no {} instructions; \"auto\" takes the best it has", name),
        "cpu-isa");
  }
  return invalid(fmt::format("unknown instruction set \"{}\"; allowed are {}", name,
                             fmt::join(backend_names(), ", ")),
                 "cpu-isa");
}

}  // namespace

Result<ChosenBackend> make_backend(std::string_view name, int64_t threads) {
  const BackendRow row = TRY(find_backend(name));
  const int count = TRY(choose_threads(threads, cpu::usable_cpus()));
  try {
    return ChosenBackend{row.make(count), count, fmt::format("{}, {} threads", row.summary, count)};
  } catch (const std::system_error& error) {  // the system has fewer threads to give
    return invalid(fmt::format("--threads: {} threads cannot be started ({}); name fewer", count,
                               error.what()),
                   "--threads");
  }
}

Result<int> choose_threads(int64_t asked, int usable_cpus) {
  if (asked == 0) return usable_cpus;
  const int most = std::max(kThreadsAnywhere, kThreadsPerCpu * usable_cpus);
  if (asked >= 1 && asked <= most) return static_cast<int>(asked);
  return invalid(
      fmt::format("--threads is {}: this process may use {} CPUs, and more than {} threads would "
                  "only wait for each other; 0 takes one per CPU",
                  asked, usable_cpus, most),
      "--threads");
}

size_t free_host_bytes() {
  return cpu::host_memory().available_bytes;
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names = {"auto"};
  for (const BackendRow& row : backends()) names.push_back(row.name);
  return names;
}

}  // namespace erne::apps
