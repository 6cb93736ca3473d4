#include "cpu/weight_panels.h"

#include <algorithm>

#include "cpu/host_memory.h"
#include "cpu/panels.h"

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

Linear pack_panels(const TensorView& weight, const WeightFormat& format, DeviceBuffer& storage,
                   ThreadPool& pool) {
  CHECK_EQ(weight.shape.rank(), 2);
  const int64_t out = weight.shape[0], in = weight.shape[1];
  const int64_t stride = panel_stride(format.stored, in);
  storage = allocate_host(num_panels(out) * stride * dtype_bytes(format.stored));
  with_type(format.stored, [&](auto to) {
    with_type(weight.dtype, [&](auto from) {
      pool.parallel_for(num_panels(out), [&](int64_t p, int) {
        const auto* rows = weight.as<const decltype(from)>() + p * kPanel * in;
        auto* panel = static_cast<decltype(to)*>(storage.data()) + p * stride;
        pack_one(rows, std::min<int64_t>(kPanel, out - p * kPanel), in, panel);
      });
    });
  });
  return {&format, out, in, {storage.data(), format.stored, {out, in}}};
}

void read_rows(const Linear& table, std::span<const int32_t> ids, const TensorView& x,
               ThreadPool& pool) {
  const int64_t in = table.in;
  const int64_t stride = panel_stride(table.data.dtype, in);
  with_type(table.data.dtype, [&](auto from) {
    with_type(x.dtype, [&](auto to) {
      pool.parallel_for(std::ssize(ids), [&](int64_t t, int) {
        read_one(table.data.as<const decltype(from)>(), stride, ids[t], in,
                 x.as<decltype(to)>() + t * in);
      });
    });
  });
}

}  // namespace erne::cpu
