// Checks an op's arguments by the symbols of its shapes: a Dim takes the first size it meets and
// every later one must agree. A mismatch is our bug, so it aborts, naming op, view, found and
// expected.
#pragma once

#include <initializer_list>

#include "backend/device_memory.h"

namespace erne {

struct Dim {
  static constexpr int64_t kUnbound = -1;
  const char* symbol;
  int64_t size = kUnbound;
};

class ShapeCheck {
 public:
  explicit ShapeCheck(const char* op) : op_(op) {}

  // `view` has these sizes, and data unless it is empty.
  void shape(const char* name, const DeviceView& view, std::initializer_list<Dim*> dims) const;
  void dtype(const char* name, const DeviceView& view, DType expected) const;
  void activation(const char* name, const DeviceView& view) const;  // float32 or bfloat16
  // A list that runs along a dimension.
  void length(const char* name, int64_t length, Dim* dim) const;
  // A host-side index lies in [low, end).
  void index(const char* name, int64_t value, int64_t low, int64_t end) const {
    if (value < low || value >= end) [[unlikely]]
      fail_index(name, value, low, end);
  }

 private:
  [[noreturn]] void fail(const char* name, const std::string& detail) const;
  [[noreturn]] void fail_index(const char* name, int64_t value, int64_t low, int64_t end) const;

  const char* op_;
};

}  // namespace erne
