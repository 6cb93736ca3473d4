// CCQ codes in the order of ccq_panels.h.
#pragma once

#include "cpu/packing/panel_format.h"

namespace erne::cpu {

extern const PanelFormat kCcqPanelFormat;

}  // namespace erne::cpu
