#include "cpu/packing/plain.h"

#include <algorithm>
#include <type_traits>

#include "cpu/packing/panels.h"

namespace erne::cpu {
namespace {

template <class To, class From>
To convert(From v) {
  if constexpr (std::is_same_v<To, From>)
    return v;
  else if constexpr (std::is_same_v<To, Bf16>)
    return to_bf16(v);
  else
    return to_float(v);
}

// body(T{}) with the C++ type of a dtype that weights and activations may have.
template <class Body>
void with_type(DType dtype, const Body& body) {
  CHECK(dtype == DType::kBf16 || dtype == DType::kF32);
  dtype == DType::kBf16 ? body(Bf16{}) : body(float{});
}

// Where a panel begins, as elements of its type.
template <class T>
T* panel_at(const PackedWeight& w, int64_t panel) {
  return reinterpret_cast<T*>(w.data) + panel * panel_stride(w.format->stored, w.in);
}

int64_t stride(const PackedWeight& w) {
  return panel_stride(w.format->stored, w.in) * static_cast<int64_t>(dtype_bytes(w.format->stored));
}

void pack(const TensorView& rows, int64_t first, const PackedWeight& w, int64_t panel) {
  const int64_t count = std::min<int64_t>(kPanel, rows.shape[0] - first);
  with_type(w.format->stored, [&](auto to) {
    with_type(rows.dtype, [&](auto from) {
      using To = decltype(to);
      To* const out = panel_at<To>(w, panel);
      const auto* row = rows.as<const decltype(from)>() + first * w.in;
      for (int64_t n = 0; n < count; ++n, row += w.in)
        for (int64_t k = 0; k < w.in; ++k) out[panel_offset<To>(k, n)] = convert<To>(row[k]);
    });
  });
}

void read_row(const PackedWeight& w, int64_t row, float* out) {
  with_type(w.format->stored, [&](auto type) {
    using T = decltype(type);
    const T* panel = panel_at<const T>(w, row / kPanel);
    for (int64_t k = 0; k < w.in; ++k) out[k] = to_float(panel[panel_offset<T>(k, row % kPanel)]);
  });
}

}  // namespace

const PanelFormat kPlainPanelFormat{
    .stride = stride, .pack = pack, .place = nullptr, .read_row = read_row};

}  // namespace erne::cpu
