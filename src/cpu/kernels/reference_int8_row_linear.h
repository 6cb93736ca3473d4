// Linear layers with quantised weights in plain loops: arithmetic.h to the letter.
#pragma once

#include "cpu/kernels/kernels.h"

namespace erne::cpu {

void reference_quantize(const QuantizeTask& task);
void reference_code_linear(const CodeLinearTask& task, uint8_t* scratch);
// The integer that stands for the weight of input k and a column of a panel.
int reference_code(const CodePanels& w, int64_t panel, int64_t k, int64_t column);
void reference_decode_panel(const CodePanels& weight, int64_t panel, float* out);

}  // namespace erne::cpu
