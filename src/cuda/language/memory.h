// Memory as kernels reach it. Reading and writing are different calls, so that the emulation sees
// both: x[i] is a value and not a reference.
#pragma once

#include <type_traits>

#include "cuda/language/device_code.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

// Sixteen bytes, the most that a thread reads or writes at once.
struct alignas(16) Words4 {
  uint32_t at[4];
};

// The device's memory. T without const: whether a kernel writes there its own text says.
template <class T>
class Global {
 public:
  Global() = default;
  explicit Global(const void* data) : data_(static_cast<T*>(const_cast<void*>(data))) {}

  ON_DEVICE T operator[](int64_t i) const {
    check_global_read(data_ + i, sizeof(T), alignof(T));
    return data_[i];
  }
  ON_DEVICE void set(int64_t i, const T& value) const {
    check_global_write(data_ + i, sizeof(T), alignof(T));
    data_[i] = value;
  }
  // Integers only: whoever adds first, the sum is the same.
  ON_DEVICE void add(int64_t i, const T& value) const {
    check_global_write(data_ + i, sizeof(T), alignof(T));
    atomic_add(data_ + i, value);
  }
  ON_DEVICE Global operator+(int64_t i) const { return Global(data_ + i, 0); }
  // The same bytes as numbers of another type.
  template <class U>
  ON_DEVICE Global<U> as() const {
    return Global<U>(reinterpret_cast<U*>(data_), 0);
  }
  ON_DEVICE explicit operator bool() const { return data_ != nullptr; }
  // For copies, which check it themselves; of the host, too.
  ON_DEVICE constexpr T* address() const { return data_; }

 private:
  template <class U>
  friend class Global;
  ON_DEVICE Global(T* data, int) : data_(data) {}

  T* data_ = nullptr;
};

// The block's shared memory, which begins at shared_memory().
template <class T>
class Shared {
 public:
  ON_DEVICE explicit Shared(T* data) : data_(data) {}

  ON_DEVICE T operator[](int64_t i) const {
    check_shared_read(data_ + i, sizeof(T), alignof(T));
    return data_[i];
  }
  ON_DEVICE void set(int64_t i, const T& value) const {
    check_shared_write(data_ + i, sizeof(T), alignof(T));
    data_[i] = value;
  }
  // As Global's; between barriers nobody else may read or set what threads add to.
  ON_DEVICE void add(int64_t i, const T& value) const {
    check_shared_add(data_ + i, sizeof(T), alignof(T));
    atomic_add(data_ + i, value);
  }
  ON_DEVICE Shared operator+(int64_t i) const { return Shared(data_ + i); }
  template <class U>
  ON_DEVICE Shared<U> as() const {
    return Shared<U>(reinterpret_cast<U*>(data_));
  }
  ON_DEVICE T* address() const { return data_; }

 private:
  T* data_;
};

ON_DEVICE Shared<std::byte> shared_memory() {
  return Shared<std::byte>(shared_bytes());
}

// What one thread reads once, of memory that the kernel does not write.
ON_DEVICE Words4 read_once(Global<Words4> from) {
  Words4 out;
  read_once_bytes(from.address(), out.at);
  return out;
}

// 16 bytes, behind the thread's back: zeros where `from` has fewer that count.
template <class T>
ON_DEVICE void copy_async(Shared<T> to, Global<T> from, size_t valid_bytes = sizeof(Words4)) {
  copy_async_bytes(reinterpret_cast<std::byte*>(to.address()),
                   reinterpret_cast<const std::byte*>(from.address()), sizeof(Words4), valid_bytes);
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
