// What --quantization and --quantized-activations mean.
#pragma once

#include <string_view>

#include "base/status.h"
#include "tensor/quantization.h"

namespace erne::apps {

// What weights are quantised to, nullptr where they stay as stored. Another name is refused with
// those allowed; one of FastDeploy's that is not built, with a sentence saying so.
Result<const QuantizationScheme*> parse_quantization(std::string_view name);

// What --help says of --quantization: the names of the table.
const char* quantization_help();

// Reads --quantized-activations, which the option table limits to "auto" and "none".
bool quantizes_activations(std::string_view name);

}  // namespace erne::apps
