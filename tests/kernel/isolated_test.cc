// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/isolated.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "base/bytes.h"

namespace dmaudit {
namespace {

using Bytes = std::vector<std::byte>;

std::string FailureOf(const std::function<Bytes()>& work, const IsolationLimits& limits = {}) {
  const Result<Bytes> answer = RunIsolated(work, limits);
  REQUIRE_FALSE(answer);
  return answer.error().message;
}

TEST_CASE("the answer comes through whole, and nothing else does") {
  int here = 1;
  const Result<Bytes> answer = RunIsolated([&here] {
    here = 2;
    (void)!write(STDOUT_FILENO, "noise\n", 6);
    return Bytes(300000, std::byte{7});
  });
  REQUIRE(answer);
  CHECK(*answer == Bytes(300000, std::byte{7}));
  CHECK(here == 1);
  CHECK(RunIsolated([] { return Bytes(); })->empty());
}

TEST_CASE("a crash is an error") {
  CHECK(FailureOf([]() -> Bytes {
          std::signal(SIGSEGV, SIG_DFL);
          (void)raise(SIGSEGV);
          return {};
        }).find("crashed (") == 0);
  CHECK(FailureOf([]() -> Bytes { throw std::runtime_error("no"); }) == "failed (exit 4)");
  CHECK(FailureOf([]() -> Bytes { _exit(9); }) == "failed (exit 9)");
}

TEST_CASE("a process that does not end is ended") {
  CHECK(FailureOf(
            []() -> Bytes {
              for (;;) (void)pause();
            },
            {.seconds = 1}) == "took more than 1 seconds");
}

TEST_CASE("the answer is bounded, at the limit and above") {
  const auto send = [](size_t size) { return [size] { return Bytes(size); }; };
  CHECK(RunIsolated(send(1000), {.answer = 1000})->size() == 1000);
  CHECK(FailureOf(send(1001), {.answer = 1000}) == "answered with more than 1000 bytes");
}

TEST_CASE("memory is bounded") {
#if defined(__SANITIZE_ADDRESS__)
  return;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  return;
#endif
#endif
  CHECK(FailureOf([] { return Bytes(size_t{512} << 20); }, {.memory = uint64_t{256} << 20}) ==
        "needs more than 256 MiB of memory");
}

}  // namespace
}  // namespace dmaudit
