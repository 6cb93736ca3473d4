#include "apps/backends.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>

#include "cpu/cpu_backend.h"
#include "cpu/machine/host_memory.h"
#include "cuda/cuda_backend.h"

namespace erne::apps {
namespace {

constexpr int kThreadsAnywhere = 64, kThreadsPerCpu = 4;

struct CpuRow {
  std::string name;
  bool is_available;  // on this machine
  cpu::CpuIsa isa;
};

// The best first: "auto" takes the first that is available.
std::vector<CpuRow> cpu_rows() {
  std::vector<CpuRow> rows;
  for (const cpu::CpuIsa isa : cpu::kCpuIsas)
    rows.push_back({cpu::cpu_isa_name(isa), cpu::cpu_supports(isa), isa});
  std::ranges::reverse(rows);
  return rows;
}

Result<CpuRow> find_cpu(std::string_view name) {
  for (CpuRow& row : cpu_rows()) {
    if (name == "auto" && row.is_available) return std::move(row);
    if (name != row.name) continue;
    if (row.is_available) return std::move(row);
    return unsupported(
        fmt::format("this machine has no {} instructions; \"auto\" takes the best it has", name),
        "--cpu-isa");
  }
  return invalid(fmt::format("unknown instruction set \"{}\"; allowed are {}", name,
                             fmt::join(cpu_isa_names(), ", ")),
                 "--cpu-isa");
}

Result<ChosenBackend> make_cpu(const DeviceOptions& options) {
  const CpuRow row = TRY(find_cpu(options.cpu_isa));
  const int threads = TRY(choose_threads(options.threads, cpu::usable_cpus()));
  try {
    return ChosenBackend{cpu::make_cpu_backend(row.isa, threads), nullptr, threads,
                         fmt::format("CPU, {} kernels, {} threads", row.name, threads)};
  } catch (const std::system_error& error) {  // the system has fewer threads to give
    return invalid(fmt::format("--threads: {} threads cannot be started ({}); name fewer", threads,
                               error.what()),
                   "--threads");
  }
}

// The host's threads sample, beside the device.
Result<ChosenBackend> make_cuda(int device, const DeviceOptions& options) {
  ChosenBackend host = TRY(make_cpu(options));
  auto backend = TRY(cuda::make_cuda_backend(
      device, [host = std::shared_ptr(std::move(host.backend))](int64_t count, const auto& body) {
        host->parallel_for(count, body);
      }));
  const double gigabytes = static_cast<double>(backend->memory().total_bytes) / 1e9;
  std::string summary = fmt::format("GPU {}, {}, {:.1f} GB", device, backend->name(), gigabytes);
  return ChosenBackend{std::move(backend),
                       [device] { return cuda::make_cuda_rehearsal(device).value(); }, host.threads,
                       std::move(summary)};
}

// N of "cuda:N"; "cuda" is "cuda:0". Nothing where it is neither.
std::optional<int> gpu_number(std::string_view name) {
  constexpr std::string_view kCuda = "cuda", kNumbered = "cuda:";
  if (name == kCuda) return 0;
  if (!name.starts_with(kNumbered)) return std::nullopt;
  uint16_t number = 0;
  const char* const end = name.data() + name.size();
  const auto read = std::from_chars(name.data() + kNumbered.size(), end, number);
  return read.ec == std::errc() && read.ptr == end ? std::optional<int>(number) : std::nullopt;
}

}  // namespace

Result<ChosenBackend> make_backend(const DeviceOptions& options) {
  if (options.device == "cpu") return make_cpu(options);
  if (const auto number = gpu_number(options.device)) return make_cuda(*number, options);
  if (options.device != "auto")
    return invalid(
        fmt::format("unknown device \"{}\"; allowed are {}", options.device, kDeviceChoices),
        "--device");
  auto gpu = make_cuda(0, options);
  return gpu.ok() ? std::move(gpu) : make_cpu(options);
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

std::vector<std::string> cpu_isa_names() {
  std::vector<std::string> names = {"auto"};
  for (const CpuRow& row : cpu_rows()) names.push_back(row.name);
  return names;
}

}  // namespace erne::apps
