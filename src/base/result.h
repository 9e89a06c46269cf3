// SPDX-License-Identifier: GPL-2.0-or-later
// Result<T>: the outcome of an operation that may be unable to go on.
#ifndef DMAUDIT_BASE_RESULT_H_
#define DMAUDIT_BASE_RESULT_H_

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace dmaudit {

// Why an operation could not go on. Callers branch on the code; people read the message.
enum class ErrorCode {
  kIo,            // the operating system refused or failed
  kUnrecognised,  // the input is none of the formats known
  kUnsupported,   // the input is recognised, and this build or version does not read it
  kMalformed,     // the input contradicts its own format
  kNotFound,      // a symbol, type, member or object is not there
  kUnknown,       // the bytes needed are not in the dump, or not known
  kLimit,         // a named budget ran out
  kUsage,         // the request itself makes no sense
};

// One reason, outer context first, lower case, no final period. May hold text from the dump: escape
// on output.
struct Error {
  ErrorCode code = ErrorCode::kMalformed;
  std::string message;
};

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

// Fail(code, "page table {:#x}: {}", ...): a formatted error, convertible to any Result<T>.
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> Fail(ErrorCode code, fmt::format_string<Args...> format,
                                         Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

// Passes an error on with its context put in front: "context: message". A message that begins with
// it already stays as it is.
[[nodiscard]] inline tl::unexpected<Error> Within(std::string_view context, const Error& error) {
  if (error.message.starts_with(context) &&
      std::string_view(error.message).substr(context.size()).starts_with(": ")) {
    return tl::unexpected<Error>(error);
  }
  return tl::unexpected<Error>(Error{error.code, fmt::format("{}: {}", context, error.message)});
}

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_RESULT_H_
