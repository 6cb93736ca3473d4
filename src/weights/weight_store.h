// weights: from bytes on disk to what a back end computes with. A WeightSource hands out tensors
// one at a time (a Checkpoint's, or random ones); load_weights packs each for the back end and
// drops the copy it was packed from. One thread; the store is read-only afterwards and owns all its
// memory: no page of the checkpoint is referred to once loading is done.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/status.h"
#include "weights/tensor_spec.h"

namespace erne::weights {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // The type `spec` is stored in: bfloat16 or float32.
  virtual Result<DType> stored_dtype(const TensorSpec& spec) = 0;
  // Writes the tensor, row-major in spec.shape, converted to `out`'s type; `out` has spec.shape.
  virtual Result<void> read(const TensorSpec& spec, TensorView out) = 0;
};

// A model's weights, by TensorSpec::name. Moving it keeps every view valid.
class WeightStore {
 public:
  const Linear& linear(std::string_view name) const;  // matrices; CHECKs that it exists
  TensorView vector(std::string_view name) const;     // kVector; likewise
  size_t bytes() const { return bytes_; }             // held, as packed

  void add_linear(std::string name, Linear linear, DeviceBuffer memory);
  // Copies float32 constants that are computed, not loaded (rotary frequencies).
  void add_constants(Backend& backend, std::string name, std::span<const float> values);
  void add_vector(std::string name, TensorView view, DeviceBuffer memory);

 private:
  std::map<std::string, Linear, std::less<>> linears_;
  std::map<std::string, TensorView, std::less<>> vectors_;
  std::vector<DeviceBuffer> memory_;
  size_t bytes_ = 0;
};

struct LoadOptions {
  // Type of activations, and of vectors. Matrices stay as stored, except that float32 ones are
  // rounded to bfloat16 where activations are bfloat16.
  DType activation = DType::kBf16;
  std::function<void(size_t done, size_t total)> progress =
      {};  // after each tensor, counted in tensors
  // A quantised format: what it covers is quantised while it is loaded. Else nullptr.
  const WeightFormat* quantization = nullptr;
  LinearInput input = LinearInput::kAsGiven;  // that quantised matrices are multiplied by
};

// Memory of ours at any time: what is packed so far, plus one tensor as read. The 0.3B model, whose
// largest tensor comes first, needs 721 MB at the end and never more than 735 MB. Mapped pages of
// the checkpoint come on top while loading; the kernel may drop them at any time.
Result<WeightStore> load_weights(Backend& backend, WeightSource& source,
                                 std::span<const TensorSpec> specs, const LoadOptions& options);

}  // namespace erne::weights
