// An address of a device's memory: backend/device_memory.h says what that means. Alone in a header,
// because kernels of several instruction sets compile it and the linker must not share code among
// them: what they call here is always inlined.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace erne {

class DevicePointer {
 public:
  DevicePointer() = default;
  [[gnu::always_inline]] explicit operator bool() const { return address_ != nullptr; }
  [[gnu::always_inline]] DevicePointer operator+(int64_t bytes) const {
    return DevicePointer(address_ + bytes);
  }
  auto operator<=>(const DevicePointer&) const = default;

 private:
  friend class DeviceAccess;
  [[gnu::always_inline]] explicit DevicePointer(std::byte* address) : address_(address) {}

  std::byte* address_ = nullptr;
};

// For back ends alone.
class DeviceAccess {
 public:
  [[gnu::always_inline]] static DevicePointer address(void* pointer) {
    return DevicePointer(static_cast<std::byte*>(pointer));
  }
  template <class T = std::byte>
  [[gnu::always_inline]] static T* pointer(DevicePointer address) {
    return reinterpret_cast<T*>(address.address_);
  }
};

}  // namespace erne
