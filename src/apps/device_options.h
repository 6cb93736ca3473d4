// On what to compute, as users say it.
#pragma once

#include <cstdint>
#include <string>

namespace erne::apps {

struct DeviceOptions {
  std::string device = "auto";   // kDeviceChoices
  std::string cpu_isa = "auto";  // or another of cpu_isa_names()
  int64_t threads = 0;           // as choose_threads() takes it
};

inline constexpr char kDeviceChoices[] = "auto cpu cuda cuda:N";

}  // namespace erne::apps
