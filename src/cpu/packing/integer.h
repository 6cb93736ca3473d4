// Integers with scales in the order of integer_panels.h.
#pragma once

#include "cpu/packing/panel_format.h"

namespace erne::cpu {

extern const PanelFormat kIntegerPanelFormat;

}  // namespace erne::cpu
