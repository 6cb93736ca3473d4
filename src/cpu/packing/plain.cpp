#include "cpu/packing/plain.h"

#include <algorithm>

#include "cpu/packing/panels.h"

namespace erne::cpu {
namespace {

template <class To, class From>
To convert(From v) {
  if constexpr (std::is_same_v<To, From>) {
    return v;
  } else if constexpr (std::is_same_v<To, Bf16>) {
    return to_bf16(v);
  } else {
    return to_float(v);
  }
}

// body(T{}) with the C++ type of a dtype that weights and activations may have.
template <class Body>
void with_type(DType dtype, const Body& body) {
  CHECK(dtype == DType::kBf16 || dtype == DType::kF32);
  dtype == DType::kBf16 ? body(Bf16{}) : body(float{});
}

template <class To, class From>
void pack_one(const From* rows, int64_t num_rows, int64_t in, To* panel) {
  for (int64_t n = 0; n < num_rows; ++n)
    for (int64_t k = 0; k < in; ++k) panel[panel_offset<To>(k, n)] = convert<To>(rows[n * in + k]);
}

template <class To, class From>
void read_one(const From* table, int64_t stride, int64_t row, int64_t in, To* x) {
  const From* panel = table + row / kPanel * stride;
  for (int64_t k = 0; k < in; ++k) x[k] = convert<To>(panel[panel_offset<From>(k, row % kPanel)]);
}

}  // namespace

size_t panel_bytes(const WeightFormat& format, int64_t out, int64_t in) {
  return num_panels(out) * panel_stride(format.stored, in) * dtype_bytes(format.stored);
}

void pack_panels(const Linear& w, const TensorView& rows, int64_t first_row, ThreadPool& pool) {
  const int64_t num_rows = rows.shape[0], stride = panel_stride(w.format->stored, w.in);
  with_type(w.format->stored, [&](auto to) {
    with_type(rows.dtype, [&](auto from) {
      auto* panels = DeviceAccess::pointer<decltype(to)>(w.data.data) + first_row / kPanel * stride;
      pool.parallel_for(num_panels(num_rows), [&](int64_t p, int) {
        pack_one(rows.as<const decltype(from)>() + p * kPanel * w.in,
                 std::min<int64_t>(kPanel, num_rows - p * kPanel), w.in, panels + p * stride);
      });
    });
  });
}

void read_rows(const Linear& table, std::span<const int32_t> ids, const TensorView& x,
               ThreadPool& pool) {
  const int64_t in = table.in;
  const int64_t stride = panel_stride(table.data.dtype, in);
  with_type(table.data.dtype, [&](auto from) {
    with_type(x.dtype, [&](auto to) {
      pool.parallel_for(std::ssize(ids), [&](int64_t t, int) {
        read_one(DeviceAccess::pointer<const decltype(from)>(table.data.data), stride, ids[t], in,
                 x.as<decltype(to)>() + t * in);
      });
    });
  });
}

}  // namespace erne::cpu
