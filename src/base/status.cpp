#include "base/status.h"

namespace erne {

const char* code_name(Code code) {
  switch (code) {
    case Code::kInvalid:
      return "invalid";
    case Code::kNotFound:
      return "not_found";
    case Code::kTooLong:
      return "too_long";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kOverloaded:
      return "overloaded";
    case Code::kExhausted:
      return "exhausted";
    case Code::kCancelled:
      return "cancelled";
    case Code::kUnauthorized:
      return "unauthorized";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

}  // namespace erne
