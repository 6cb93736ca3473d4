// Rows of activations times packed weights: what `linear` is once, and `experts` many times.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "cpu/kernels/kernels.h"
#include "cpu/machine/host_memory.h"
#include "cpu/machine/thread_pool.h"
#include "cpu/packing/integer_panels.h"

namespace erne::cpu {

// Some rows and what they are multiplied by.
struct Product {
  const Linear* w;
  int64_t first_row, num_rows;
};

class Products {
 public:
  Products(const Kernels& kernels, ThreadPool& pool)
      : kernels_(kernels), pool_(pool), worker_scratch_(pool.threads()) {}

  // Backend::decodes.
  bool decodes(const WeightFormat& format, LinearInput input) const;

  // y[r] = x[r] W^T for the rows r of each product; with `source`, x[source[r]] stands for x[r].
  // All weights have one format and one shape.
  void run(std::span<const Product> products, const TensorView& x, std::span<const int32_t> source,
           const TensorView& y);

 private:
  // Rows of activations as a kernel takes them.
  struct Rows {
    const std::byte* data;
    DType type;
    int64_t stride;  // elements

    const void* from(int64_t row) const { return data + row * stride * dtype_bytes(type); }
  };
  // A run of rows and of panels: what one task multiplies.
  struct Tile {
    const Linear* w;
    int64_t row, num_rows, panel, end_panel;
  };
  void cut_tiles(std::span<const Product> products);

  Rows as_float(const TensorView& x);
  Fp8Rows as_fp8(const TensorView& x);
  QuantizedRows as_int8(const TensorView& x, const CodePanels& w);
  // Chosen rows, each by the scale of what it is multiplied by, or its own where that has none.
  QuantizedRows as_fixed_int8(std::span<const Product> products, const TensorView& x,
                              std::span<const int32_t> source);
  Rows chosen(const Rows& rows, std::span<const int32_t> source);
  Fp8Rows fp8_rows_from(const Fp8Rows& rows, int64_t in, int64_t row) const;
  Fp8Rows allocate_fp8(Scratch& scratch, int64_t rows, int64_t in) const;
  Fp8Rows chosen(const Fp8Rows& rows, int64_t in, std::span<const int32_t> source);
  QuantizedRows chosen(const QuantizedRows& rows, int64_t groups, std::span<const int32_t> source);

  void plain(const TensorView& x, std::span<const int32_t> source, const TensorView& y);
  void codes(std::span<const Product> products, const TensorView& x,
             std::span<const int32_t> source, const TensorView& y);
  void fp8(const TensorView& x, std::span<const int32_t> source, const TensorView& y);
  // As `type`: float32, or bfloat16 where the weights allow it.
  void decode_panel(const Linear& w, int64_t panel, DType type, float* out) const;
  void decoded(const TensorView& x, std::span<const int32_t> source, const TensorView& y);

  const Kernels& kernels_;
  ThreadPool& pool_;
  Scratch rows_, chosen_;
  std::vector<Scratch> worker_scratch_;
  std::vector<Tile> tiles_;
};

}  // namespace erne::cpu
