// What a kernel must not do ends the program here, and says which kernel, block and thread did it.
#pragma once

#include <string>

namespace erne::cuda::emulation {

[[noreturn]] void fault(const std::string& what);

}  // namespace erne::cuda::emulation
