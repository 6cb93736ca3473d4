// The middle one of the last three values: it follows a change after two of them, and one that is
// far off does not move it.
#pragma once

#include <algorithm>
#include <array>

namespace erne::engine {

class RecentMedian {
 public:
  void add(double value) { values_[count_++ % values_.size()] = value; }
  bool empty() const { return count_ == 0; }
  // The median of the last three values. Of fewer it is the least, since a time that is far off was
  // too long; 0 where there is none.
  double value() const {
    auto sorted = values_;
    const size_t known = std::min(count_, values_.size());
    std::sort(sorted.begin(), sorted.begin() + known);
    return sorted[known == values_.size() ? 1 : 0];
  }

 private:
  std::array<double, 3> values_ = {};
  size_t count_ = 0;
};

}  // namespace erne::engine
