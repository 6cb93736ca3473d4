#include "model/rotary.h"

#include <cmath>

namespace erne::model {

std::vector<float> rotary_frequencies(int head_dim, double theta) {
  std::vector<float> out;
  for (int i = 0; i < head_dim; i += 2)
    out.push_back(1.0f / static_cast<float>(std::pow(theta, static_cast<double>(i) / head_dim)));
  return out;
}

}  // namespace erne::model
