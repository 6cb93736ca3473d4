// Linear layers with quantised weights in plain loops: arithmetic.h to the letter.
#pragma once

#include "cpu/kernels.h"

namespace erne::cpu {

void reference_quantize(const QuantizeTask& task);
void reference_code_linear(const CodeLinearTask& task, uint8_t* scratch);
void reference_decode_panel(const CodePanels& weight, int64_t panel, float* out);

}  // namespace erne::cpu
