#include "cuda/choose_units.h"

#include <fmt/format.h>

#include "backend/device_failure.h"
#include "cuda/runtime/runtime.h"
#include "cuda/runtime/stream.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

ChosenUnits choose_matrix_units(Runtime& runtime, Scratch& scratch) {
  constexpr int kHopper = 90;
  const int capability = runtime.facts().capability;
  if (capability != kHopper)
    return {MatrixUnits::kWarps,
            fmt::format("compute capability {}.{} has no warpgroup instructions of 9.0",
                        capability / 10, capability % 10)};
  if (runtime.stream().is_rehearsal)
    return {MatrixUnits::kWarpgroups, "a rehearsal, for which it is the most"};
  try {
    const auto [sums, different] = kernels::compare_matrix_units(runtime, scratch);
    if (different == 0)
      return {MatrixUnits::kWarpgroups,
              fmt::format("all {} sums of a product have the same bits by either", sums)};
    return {
        MatrixUnits::kWarps,
        fmt::format("{} of {} sums of a product have other bits by warpgroups", different, sums)};
  } catch (const DeviceFailure& failure) {
    return {MatrixUnits::kWarps, fmt::format("by warpgroups: {}", failure.what())};
  }
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
