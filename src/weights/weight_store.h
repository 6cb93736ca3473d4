// weights: from bytes on disk to what a back end computes with. A WeightSource hands out tensors
// some rows at a time (a Checkpoint's, or random ones); load_weights packs them for the back end
// into a WeightStore. One thread; the store is read-only afterwards and owns all its memory: no
// page of the checkpoint is referred to once loading is done.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/status.h"
#include "tensor/quantization.h"
#include "weights/tensor_spec.h"

namespace erne::weights {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // The type `spec` is stored in: bfloat16 or float32.
  virtual Result<DType> stored_dtype(const TensorSpec& spec) = 0;
  // True if the tensor is stored in 8 bits or fewer: float32 holds it exactly, bfloat16 does not.
  virtual bool is_quantized(const TensorSpec&) const { return false; }
  // True if the tensor is stored in the codes of `format`, so that read_encoded() gives them.
  virtual bool has_codes_of(const TensorSpec&, const WeightFormat&) const { return false; }
  // The matrix that the tensor is, where it is drawn: a back end may draw it itself.
  virtual std::optional<RandomMatrix> random_matrix(const TensorSpec&) { return {}; }
  // Writes the rows from first_row on that `out` has room for, row-major, converted to its type.
  // `out` has spec.shape, but for the number of rows.
  virtual Result<void> read_rows(const TensorSpec& spec, int64_t first_row, TensorView out) = 0;
  Result<void> read(const TensorSpec& spec, TensorView out) { return read_rows(spec, 0, out); }
  // Reads rows as they are encoded, into `out`; has_codes_of(spec, out's format) is true.
  virtual Result<void> read_encoded(const TensorSpec&, int64_t, EncodedRows&) {
    return unsupported("no tensor here is stored in codes");
  }
  // A text that stays the same only while the values do, as far as that can be told without reading
  // them. Empty: it cannot be told now.
  virtual std::string identity() const = 0;
  // A hash of all values: sources that say the same hold the same. May read everything.
  virtual uint64_t fingerprint() const = 0;
};

struct LoadOptions {
  // Type of activations, and of vectors. Matrices stay as stored, except that float32 ones are
  // rounded to bfloat16 where activations are bfloat16.
  DType activation = DType::kBf16;
  std::function<void(size_t done, size_t total)> progress =
      {};                          // after each tensor, counted in tensors
  Quantization quantization = {};  // while it is loaded
  // Quantised matrices are multiplied by what goes with their format, not by activations as given.
  bool quantize_activations = false;
};

// Bytes to a multiple of which packed weights lie, in memory and in a file.
inline constexpr size_t kWeightAlignment = 64;

// What one tensor becomes.
struct WeightPlan {
  const TensorSpec* spec;
  DType dtype;                 // it is read as
  const WeightFormat* format;  // it is packed in; nullptr: a vector, kept as read
  size_t bytes;
};
// Points into `specs`.
Result<std::vector<WeightPlan>> plan_weights(Backend& backend, WeightSource& source,
                                             std::span<const TensorSpec> specs,
                                             const LoadOptions& options);

// A model's weights, by TensorSpec::name. Moving it keeps every view valid.
class WeightStore {
 public:
  WeightStore() = default;
  // Room for these tensors, zeroed, in one piece of memory: so all of it can lie on huge pages, and
  // none is lost to rounding.
  WeightStore(Backend& backend, std::span<const WeightPlan> plans, bool quantize_activations);

  // None of them yet; `owner` keeps the memory that add_in_place() shows.
  WeightStore(std::shared_ptr<const void> owner, std::span<const WeightPlan> plans,
              bool quantize_activations);
  // A weight whose packed bytes lie in the owner's memory, which is never written and which the
  // back end reads where it is (Backend::reads_host_memory). Refused: a member of a stack that does
  // not lie behind the one before.
  Result<void> add_in_place(Backend& backend, const WeightPlan& plan,
                            std::span<const std::byte> bytes);

  const Linear& linear(std::string_view name) const;  // matrices; CHECKs that it exists
  DeviceView vector(std::string_view name) const;     // kVector; likewise
  // All members of a stack, by its name: matrices, and vectors of one number each as [count].
  const StackedLinear& stack(std::string_view name) const;
  DeviceView vector_stack(std::string_view name) const;
  size_t bytes() const { return bytes_; }  // held, as packed
  // Where a tensor's bytes lie, as packed.
  DeviceSpan memory(const WeightPlan& plan) const;

  // Copies float32 constants that are computed, not loaded (rotary frequencies).
  void add_constants(Backend& backend, std::string name, std::span<const float> values);

 private:
  void add(const WeightPlan& plan, DevicePointer at);
  void add_to_stack(const WeightPlan& plan, DevicePointer at);
  bool fits_stack(const WeightPlan& plan, DevicePointer at) const;

  bool quantize_activations_ = false;
  // Linear::unit_order of all: allowed where no format fixes the bits between machines.
  bool unit_order_ = false;
  std::map<std::string, Linear, std::less<>> linears_;
  std::map<std::string, DeviceView, std::less<>> vectors_;
  std::map<std::string, StackedLinear, std::less<>> stacks_;
  std::map<std::string, DeviceView, std::less<>> vector_stacks_;
  std::vector<DeviceBuffer> memory_;
  std::shared_ptr<const void> owner_;
  size_t bytes_ = 0;
};

// load_weights() for weights that are planned already.
Result<WeightStore> load_planned_weights(Backend& backend, WeightSource& source,
                                         std::span<const WeightPlan> plans,
                                         const LoadOptions& options);

// Memory at any time: the store's, and some megabytes of rows as read.
Result<WeightStore> load_weights(Backend& backend, WeightSource& source,
                                 std::span<const TensorSpec> specs, const LoadOptions& options);

}  // namespace erne::weights
