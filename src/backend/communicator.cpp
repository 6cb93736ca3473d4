#include "backend/communicator.h"

namespace erne {

void OneRank::all_gather(const DeviceView& part, const DeviceView& whole) {
  CHECK(part.data == whole.data);
  CHECK(part.shape == whole.shape);
}

void OneRank::broadcast(const DeviceView&, int root) {
  CHECK_EQ(root, 0);
}

}  // namespace erne
