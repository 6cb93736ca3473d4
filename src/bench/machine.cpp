#include "bench/machine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>

namespace erne::bench {
namespace {

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

int number(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

size_t system_figure(int name) {
  const long value = sysconf(name);
  return value > 0 ? static_cast<size_t>(value) : 0;
}

// From the kernel (glibc's sysconf multiplies by the number of CPUs on some virtual machines).
size_t last_level_cache_bytes() {
  size_t kilobytes = 0;
  for (int index = 0; index < 8; ++index) {
    std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", index));
    size_t size = 0;
    if (file >> size) kilobytes = std::max(kilobytes, size);  // "32768K"
  }
  return kilobytes << 10;
}

}  // namespace

Machine parse_cpuinfo(std::string_view text) {
  Machine machine;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) break;  // the first CPU says it for all
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = trimmed(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (key == "model name") machine.cpu = value;
    if (key == "cpu family") machine.family = number(value);
    if (key == "model") machine.model = number(value);
  }
  return machine;
}

Machine this_machine() {
  std::ifstream file("/proc/cpuinfo");
  Machine machine = parse_cpuinfo(std::string(std::istreambuf_iterator<char>(file), {}));
  machine.num_cpus = static_cast<int>(system_figure(_SC_NPROCESSORS_ONLN));
  machine.last_level_cache_bytes = last_level_cache_bytes();
  machine.memory_bytes = system_figure(_SC_PHYS_PAGES) * system_figure(_SC_PAGE_SIZE);
  return machine;
}

std::string machine_slug(const Machine& machine) {
  std::string slug;
  for (const char c : machine.cpu) {
    const bool is_kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool is_upper = c >= 'A' && c <= 'Z';
    if (is_kept || is_upper) {
      slug += is_upper ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  if (slug.empty()) slug = "cpu-";
  if (slug.back() != '-') slug += '-';
  return slug + fmt::format("f{}-m{}", machine.family, machine.model);
}

Json to_json(const Machine& machine) {
  return Json::Object{{"slug", machine_slug(machine)},
                      {"cpu", machine.cpu},
                      {"cpu_family", machine.family},
                      {"cpu_model", machine.model},
                      {"num_cpus", machine.num_cpus},
                      {"last_level_cache_bytes", uint64_t{machine.last_level_cache_bytes}},
                      {"memory_bytes", uint64_t{machine.memory_bytes}}};
}

std::string utc_date(int64_t seconds_since_epoch) {
  const std::time_t time = seconds_since_epoch;
  std::tm parts = {};
  gmtime_r(&time, &parts);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, length};
}

double load_average() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : 0;
}

std::string utc_now() {
  return utc_date(std::time(nullptr));
}

}  // namespace erne::bench
