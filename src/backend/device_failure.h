// What a device that is lost, or that has no memory left, throws out of any call of its back end.
// Nothing more can be asked of that back end; whoever runs steps ends its requests and says why.
#pragma once

#include <stdexcept>
#include <string>

namespace erne {

class DeviceFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace erne
