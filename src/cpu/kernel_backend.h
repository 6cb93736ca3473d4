// A CPU back end over a given table of kernels: for tests of a table that stands for no instruction
// set of this machine.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "cpu/cpu_backend.h"

namespace erne::cpu {

struct Kernels;

std::unique_ptr<Backend> make_cpu_backend(std::string name, const Kernels& kernels, int threads);

}  // namespace erne::cpu
