// Rows of activations times packed weights: what `linear` is once, and `experts` many times.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "cpu/activations.h"
#include "cpu/kernels/kernels.h"
#include "cpu/machine/host_memory.h"
#include "cpu/machine/thread_pool.h"

namespace erne::cpu {

class Products {
 public:
  Products(const Kernels& kernels, ThreadPool& pool)
      : kernels_(kernels),
        pool_(pool),
        activations_(kernels, pool),
        worker_scratch_(pool.threads()) {}

  // Backend::is_decoded.
  bool is_decoded(const WeightFormat& format, LinearInput input) const;

  // y[r] = x[r] W^T for the rows r of each product; with `source`, x[source[r]] stands for x[r].
  // All weights have one format and one shape.
  void run(std::span<const Product> products, const TensorView& x, std::span<const int32_t> source,
           const TensorView& y);

 private:
  // Some rows and some panels: what one task multiplies.
  struct Part {
    const Linear* w;
    int64_t row, num_rows, first_panel, end_panel;
  };
  void cut_parts(std::span<const Product> products);
  // body(part, its weight, its place in y, the worker's scratch) on the threads.
  template <class Body>
  void for_parts(const TensorView& y, const Body& body);

  const EncodingKernels& kernels_of(const WeightFormat& format) const {
    return kernels_.encodings[static_cast<int>(format.encoding)];
  }
  bool multiplies_pairs_of(const TensorView& x) const {
    return kernels_.multiplies_pairs && x.dtype == DType::kBf16 && x.shape[1] % 2 == 0;
  }
  void multiply_plain(const Linear& w, const TensorView& x, std::span<const int32_t> source,
                      const TensorView& y);
  void multiply_int8(std::span<const Product> products, const TensorView& x,
                     std::span<const int32_t> source, const TensorView& y);
  void multiply_fp8(const Linear& w, const TensorView& x, std::span<const int32_t> source,
                    const TensorView& y);
  void multiply_decoded(const Linear& w, const TensorView& x, std::span<const int32_t> source,
                        const TensorView& y);
  // Decodes a panel to `type`: float32, or bfloat16 where the encoding has decode_pairs.
  void decode_panel(const PackedWeight& w, int64_t panel, DType type, std::byte* out) const;

  const Kernels& kernels_;
  ThreadPool& pool_;
  Activations activations_;
  std::vector<Scratch> worker_scratch_;
  std::vector<Part> parts_;
};

}  // namespace erne::cpu
