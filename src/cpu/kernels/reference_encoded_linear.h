// Linear layers with int8 and fp8 rows in plain loops: arithmetic.h to the letter.
#pragma once

#include "cpu/kernels/kernels.h"

namespace erne::cpu {

void reference_to_int8_rows(const ConvertTask& task);
void reference_to_fp8_rows(const ConvertTask& task);
void reference_int8_row_linear(const EncodedLinearTask& task, std::byte* scratch);
// Products of fp8 rows with integers, and with fp8 weights.
void reference_fp8_row_linear_integers(const EncodedLinearTask& task, float* scratch);
void reference_fp8_row_linear_fp8(const EncodedLinearTask& task, float* scratch);

}  // namespace erne::cpu
