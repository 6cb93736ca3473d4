// Plain matrices in the order of panels.h.
#pragma once

#include "cpu/packing/panel_format.h"

namespace erne::cpu {

extern const PanelFormat kPlainPanelFormat;

}  // namespace erne::cpu
