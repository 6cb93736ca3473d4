#include "apps/backends.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "cpu/cpu_backend.h"

namespace erne::apps {
namespace {

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
  const int count = threads > 0 ? static_cast<int>(threads) : cpu::usable_cpus();
  return ChosenBackend{row.make(count), count, fmt::format("{}, {} threads", row.summary, count)};
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names = {"auto"};
  for (const BackendRow& row : backends()) names.push_back(row.name);
  return names;
}

}  // namespace erne::apps
