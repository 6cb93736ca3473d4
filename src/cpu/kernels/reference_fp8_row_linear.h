// The encodings of encoded_panels.h in plain loops.
#pragma once

#include "cpu/kernels/kernels.h"

namespace erne::cpu {

void reference_decode_fp8_panel(const Fp8Panels& w, int64_t panel, float* out);
void reference_decode_ccq_panel(const CcqPanels& w, int64_t panel, float* out);
void reference_round_to_fp8(const Fp8RoundTask& task);
void reference_fp8_linear(const Fp8LinearTask& task, float* scratch);

}  // namespace erne::cpu
