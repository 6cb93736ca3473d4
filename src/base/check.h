// CHECK: for our own bugs only. A failed CHECK prints the condition, both operands and the place,
// then aborts. It must never be reachable from bytes that came from a file, a socket or a flag:
// those return a Status (base/status.h).
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

namespace erne {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& detail);

namespace check_detail {
// Without streams: every file includes this header, and <sstream> alone takes 0.25 s to compile.
template <class T>
std::string operand(const T& value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<long long>(value));
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return std::string(std::string_view(value));
  } else {  // a pointer, or an element of vector<bool>
    return value ? "set" : "not set";
  }
}

template <class A, class B>
std::string operands(const A& a, const B& b) {
  return operand(a) + " vs " + operand(b);
}
}  // namespace check_detail

}  // namespace erne

#define CHECK(condition) \
  ((condition) ? (void)0 : ::erne::check_failed(__FILE__, __LINE__, #condition, ""))
#define ERNE_CHECK_OP(a, op, b)                                               \
  do {                                                                        \
    const auto& check_a = (a);                                                \
    const auto& check_b = (b);                                                \
    if (!(check_a op check_b))                                                \
      ::erne::check_failed(__FILE__, __LINE__, #a " " #op " " #b,             \
                           ::erne::check_detail::operands(check_a, check_b)); \
  } while (false)
#define CHECK_EQ(a, b) ERNE_CHECK_OP(a, ==, b)
#define CHECK_NE(a, b) ERNE_CHECK_OP(a, !=, b)
#define CHECK_LT(a, b) ERNE_CHECK_OP(a, <, b)
#define CHECK_LE(a, b) ERNE_CHECK_OP(a, <=, b)
#define CHECK_GT(a, b) ERNE_CHECK_OP(a, >, b)
#define CHECK_GE(a, b) ERNE_CHECK_OP(a, >=, b)
