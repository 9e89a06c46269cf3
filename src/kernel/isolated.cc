// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/isolated.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <new>
#include <optional>
#include <span>

namespace dmaudit {
namespace {

// Exit statuses of the child.
constexpr int kDone = 0;
constexpr int kNoMemory = 3;
constexpr int kThrew = 4;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kShadowMemory = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kShadowMemory = true;
#else
constexpr bool kShadowMemory = false;
#endif
#else
constexpr bool kShadowMemory = false;
#endif

void Limit(int resource, rlim_t value) {
  const rlimit limit{value, value};
  (void)setrlimit(static_cast<__rlimit_resource>(resource), &limit);
}

void Confine(const IsolationLimits& limits) {
  // The audit may be killed while it waits.
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  Limit(RLIMIT_CPU, limits.seconds);
  Limit(RLIMIT_CORE, 0);
  // A sanitizer maps terabytes of shadow.
  if (!kShadowMemory) Limit(RLIMIT_AS, limits.memory);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) (void)dup2(null, stream);
}

bool WriteAll(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return true;
}

[[noreturn]] void Child(const std::function<std::vector<std::byte>()>& work, int out,
                        const IsolationLimits& limits) {
  Confine(limits);
  int status = kThrew;
  try {
    status = WriteAll(out, work()) ? kDone : kThrew;
  } catch (const std::bad_alloc&) {
    status = kNoMemory;
  } catch (const std::exception&) {
    status = kThrew;
  }
  // Nothing of the parent's is to be flushed or destroyed here.
  _exit(status);
}

// Everything until the end of the pipe; nothing when time or room ran out.
std::optional<std::vector<std::byte>> ReadAnswer(int in, const IsolationLimits& limits,
                                                 std::string& failure) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + std::chrono::seconds(limits.seconds);
  std::vector<std::byte> answer;
  std::array<std::byte, 65536> buffer;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd ready{in, POLLIN, 0};
    const int polled = left <= 0 ? 0 : poll(&ready, 1, static_cast<int>(left));
    if (polled < 0 && errno == EINTR) continue;
    if (polled <= 0) {
      failure = fmt::format("took more than {} seconds", limits.seconds);
      return std::nullopt;
    }
    const ssize_t got = read(in, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return answer;
    if (answer.size() + static_cast<size_t>(got) > limits.answer) {
      failure = fmt::format("answered with more than {} bytes", limits.answer);
      return std::nullopt;
    }
    answer.insert(answer.end(), buffer.begin(), buffer.begin() + got);
  }
}

}  // namespace

Result<std::vector<std::byte>> RunIsolated(const std::function<std::vector<std::byte>()>& work,
                                           const IsolationLimits& limits) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Fail(ErrorCode::kIo, "no pipe: {}", strerror(errno));
  }
  const pid_t child = fork();
  if (child < 0) {
    const int reason = errno;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return Fail(ErrorCode::kIo, "no process of its own: {}", strerror(reason));
  }
  if (child == 0) Child(work, ends[1], limits);
  (void)close(ends[1]);
  std::string failure;
  std::optional<std::vector<std::byte>> answer = ReadAnswer(ends[0], limits, failure);
  (void)close(ends[0]);
  if (!answer) (void)kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Fail(ErrorCode::kIo, "the process is lost: {}", strerror(errno));
  }
  if (!answer) return Fail(ErrorCode::kLimit, "{}", failure);
  if (WIFSIGNALED(status)) {
    if (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL) {
      return Fail(ErrorCode::kLimit, "ran out of a limit ({})", strsignal(WTERMSIG(status)));
    }
    return Fail(ErrorCode::kMalformed, "crashed ({})", strsignal(WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) == kNoMemory) {
    return Fail(ErrorCode::kLimit, "needs more than {} MiB of memory", limits.memory >> 20);
  }
  if (WEXITSTATUS(status) != kDone) {
    return Fail(ErrorCode::kMalformed, "failed (exit {})", WEXITSTATUS(status));
  }
  return *std::move(answer);
}

}  // namespace dmaudit
