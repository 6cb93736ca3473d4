// How the ranks of one model add up and exchange what each has computed: a rank is one device that
// holds its share of every weight. Every rank calls the same functions in the same order.
#pragma once

#include "backend/device_memory.h"

namespace erne {

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int num_ranks() const = 0;
  // x becomes the sum of all ranks' x, the same bits on every rank: the order of a sum depends on
  // the number of ranks only.
  virtual void all_reduce(const DeviceView& x) = 0;
  // `whole` [R, n] becomes the ranks' parts [R, n / ranks] beside each other, in order of ranks.
  virtual void all_gather(const DeviceView& part, const DeviceView& whole) = 0;
  // x becomes the root's x.
  virtual void broadcast(const DeviceView& x, int root) = 0;
};

// A model that lies on one device whole.
class OneRank final : public Communicator {
 public:
  int rank() const override { return 0; }
  int num_ranks() const override { return 1; }
  void all_reduce(const DeviceView&) override {}
  // Its part is the whole already, in its place.
  void all_gather(const DeviceView& part, const DeviceView& whole) override;
  void broadcast(const DeviceView&, int root) override;
};

}  // namespace erne
