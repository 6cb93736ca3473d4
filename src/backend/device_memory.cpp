#include "backend/device_memory.h"

namespace erne {

DeviceView DeviceView::rows(int64_t first, int64_t count) const {
  CHECK_GE(shape.rank(), 1);
  CHECK_GE(first, 0);
  CHECK_LE(first + count, shape[0]);
  Shape cut{count};
  int64_t row_elements = 1;
  for (int i = 1; i < shape.rank(); ++i) {
    cut.append(shape[i]);
    row_elements *= shape[i];
  }
  return {data + first * row_elements * static_cast<int64_t>(dtype_bytes(dtype)), dtype, cut};
}

DeviceView DeviceView::with_width(int64_t width) const {
  CHECK_EQ(shape.rank(), 2);
  CHECK_LE(width, shape[1]);
  return {data, dtype, {shape[0], width}};
}

}  // namespace erne
