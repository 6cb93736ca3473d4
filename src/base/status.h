// base: what every folder may use. Status and Result carry a caller's mistake to whoever made it;
// CHECK (base/check.h) is for our own bugs. No folder lets an exception cross its border.
//
// A Status maps one to one to an OpenAI error body: `message` says what is wrong and what is
// allowed, `param` names the field, flag or tensor it is about.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace erne {

enum class Code {
  kInvalid,       // the caller's value is wrong
  kNotFound,      // the named thing does not exist
  kTooLong,       // does not fit a limit (context length, body size)
  kUnsupported,   // known, but not built yet
  kOverloaded,    // too many at once: try again later
  kExhausted,     // memory or patience for it is used up now: try again later
  kCancelled,     // the caller left, or asked to stop
  kUnauthorized,  // no or wrong credentials
  kInternal,      // our fault
};

const char* code_name(Code code);

struct [[nodiscard]] Status {
  Code code = Code::kInternal;
  std::string message;
  std::string param = {};
};

inline Status invalid(std::string message, std::string param = {}) {
  return {Code::kInvalid, std::move(message), std::move(param)};
}
inline Status unsupported(std::string message, std::string param = {}) {
  return {Code::kUnsupported, std::move(message), std::move(param)};
}

// Holds a T or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}         // NOLINT
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & {
    check_ok();
    return std::get<0>(state_);
  }
  const T& value() const& {
    check_ok();
    return std::get<0>(state_);
  }
  T&& value() && {
    check_ok();
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Status& status() const {
    CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  void check_ok() const {
    if (!ok()) check_failed(__FILE__, __LINE__, "Result::ok()", status().message);
  }

  std::variant<T, Status> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Status status) : status_(std::move(status)) {}  // NOLINT
  bool ok() const { return !status_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { CHECK(ok()); }
  const Status& status() const {
    CHECK(!ok());
    return *status_;
  }

 private:
  std::optional<Status> status_;
};

}  // namespace erne

// `auto x = TRY(f());` takes the value of a Result or returns its Status from the enclosing
// function.
#define TRY(expression)                                               \
  ({                                                                  \
    auto try_result = (expression);                                   \
    if (!try_result.ok()) return ::erne::Status(try_result.status()); \
    std::move(try_result).value();                                    \
  })
