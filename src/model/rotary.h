// The rotary embedding's frequencies (Su et al., "RoFormer", arXiv 2104.09864).
#pragma once

#include <vector>

namespace erne::model {

// theta^(-2i / head_dim) for pair i, [head_dim / 2]. Rounded to float32 twice, after the power and
// after the reciprocal, as the reference does: a position of 131,000 turns one ulp into a visible
// angle.
std::vector<float> rotary_frequencies(int head_dim, double theta);

}  // namespace erne::model
