#include "cpu/machine/host_memory.h"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

namespace erne::cpu {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kAlignment = 64;

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number after `key` in lines of "key value".
std::optional<size_t> field(const std::string& text, const std::string& key) {
  std::istringstream words(text);
  for (std::string word; words >> word;)
    if (size_t value; word == key && words >> value) return value;
  return std::nullopt;
}

// A file that holds one number; "max" (no limit) is none.
std::optional<size_t> number(const std::filesystem::path& path) {
  std::istringstream text(read_text(path));
  size_t value;
  if (text >> value) return value;
  return std::nullopt;
}

// Where this process' control group lies, of either version: its limits are files there.
struct ControlGroup {
  std::filesystem::path folder;
  const char *limit, *usage;      // files
  const char *inactive, *active;  // keys in memory.stat
};

// A group's folder and those above it, up to `base`: the limit of each binds all below.
std::vector<std::filesystem::path> with_parents(const std::filesystem::path& base,
                                                const std::filesystem::path& group) {
  std::vector<std::filesystem::path> folders = {base};
  for (const auto& name : group.relative_path().lexically_normal())
    if (!name.empty() && name != "." && name != "..") folders.push_back(folders.back() / name);
  return folders;
}

std::vector<ControlGroup> memory_groups(const std::filesystem::path& root) {
  std::vector<ControlGroup> groups;
  std::istringstream lines(read_text(root / "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {  // "id:controllers:/path"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(std::min(second + 2, line.size()));
    if (controllers.empty()) {
      const auto base = root / "sys/fs/cgroup";
      for (const auto& folder : with_parents(base, path))
        groups.push_back({folder, "memory.max", "memory.current", "inactive_file", "active_file"});
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      const auto base = root / "sys/fs/cgroup/memory";
      for (const auto& folder : with_parents(base, path))
        groups.push_back({folder, "memory.limit_in_bytes", "memory.usage_in_bytes",
                          "total_inactive_file", "total_active_file"});
    }
  }
  return groups;
}

// Bytes that the limits of this process itself (ulimit -v, -d) leave; none where there is no limit.
std::optional<size_t> left_by_limits(const std::filesystem::path& root) {
  const std::string limits = read_text(root / "proc/self/limits");
  const std::string status = read_text(root / "proc/self/status");
  std::optional<size_t> left;
  for (const auto& [limit, usage] :
       {std::pair{"Max address space", "VmSize:"}, std::pair{"Max data size", "VmData:"}}) {
    const size_t at = limits.find(limit);
    if (at == std::string::npos) continue;
    std::istringstream words(limits.substr(at + std::string(limit).size()));
    size_t most;
    if (!(words >> most)) continue;  // "unlimited"
    const size_t used = field(status, usage).value_or(0) * 1024;
    left = std::min(left.value_or(most), most - std::min(most, used));
  }
  return left;
}

}  // namespace

HostBuffer allocate_host(size_t bytes) {
  if (bytes == 0) return {};
  if (bytes < kHugePage) {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* data = std::aligned_alloc(kAlignment, rounded);
    CHECK(data != nullptr);
    std::memset(data, 0, rounded);
    return {data, bytes, std::free};
  }
  // Begins on a huge page. What is mapped beside it is never touched, and so is no memory.
  const size_t mapped_bytes = bytes + kHugePage;
  void* mapped =
      mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(mapped != MAP_FAILED);
  const auto at = reinterpret_cast<uintptr_t>(mapped);
  void* data = reinterpret_cast<void*>((at + kHugePage - 1) / kHugePage * kHugePage);
  // Only advice: small pages work as well. The last huge page would be in use in part.
  madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return {data, bytes, [mapped, mapped_bytes](void*) { munmap(mapped, mapped_bytes); }};
}

MemoryInfo host_memory(const std::filesystem::path& root) {
  const std::string meminfo = read_text(root / "proc/meminfo");
  MemoryInfo info{field(meminfo, "MemTotal:").value_or(0) * 1024,
                  field(meminfo, "MemAvailable:").value_or(0) * 1024};
  for (const ControlGroup& group : memory_groups(root)) {
    const auto limit = number(group.folder / group.limit);
    const auto usage = number(group.folder / group.usage);
    if (!limit || !usage || *limit >= info.total_bytes) continue;
    // Pages of files are given back on demand, as the machine's MemAvailable counts them.
    const std::string stat = read_text(group.folder / "memory.stat");
    const size_t cache =
        field(stat, group.inactive).value_or(0) + field(stat, group.active).value_or(0);
    const size_t used = *usage - std::min(*usage, cache);
    info.total_bytes = *limit;
    info.available_bytes = std::min(info.available_bytes, *limit - std::min(*limit, used));
  }
  if (const auto left = left_by_limits(root))
    info.available_bytes = std::min(info.available_bytes, *left);
  return info;
}

int host_cpus(const std::filesystem::path& root) {
  cpu_set_t set;
  int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  std::istringstream quota(
      read_text(root / "sys/fs/cgroup/cpu.max"));  // "quota period" or "max period"
  if (double allowed, period; quota >> allowed >> period && period > 0)
    cpus = std::min(cpus, static_cast<int>(allowed / period + 0.5));
  return std::max(cpus, 1);
}

}  // namespace erne::cpu
