// Which card the emulated device plays.
#pragma once

namespace erne::cuda::emulation {

struct DeviceModel {
  int capability = 90;  // compute capability times ten; warpgroup instructions are 90's alone
  // Warpgroup instructions keep fewer bits of their sums than those of a warp: a card whose two
  // kinds of matrix instructions give different bits.
  bool warpgroups_cut_off = false;
};

}  // namespace erne::cuda::emulation
