// fp8 numbers in the order of fp8_panels.h.
#pragma once

#include "cpu/packing/panel_format.h"

namespace erne::cpu {

extern const PanelFormat kFp8PanelFormat;

}  // namespace erne::cpu
