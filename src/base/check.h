// CHECK: for our own bugs only. A failed CHECK prints the condition, both operands and the place,
// then aborts. It must never be reachable from bytes that came from a file, a socket or a flag:
// those return a Status (base/status.h).
#pragma once

#include <sstream>
#include <string>

namespace erne {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& detail);

namespace check_detail {
template <class A, class B>
std::string operands(const A& a, const B& b) {
  std::ostringstream out;
  out << a << " vs " << b;
  return out.str();
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
