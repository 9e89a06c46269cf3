// SPDX-License-Identifier: GPL-2.0-or-later
// measure COMMAND [ARGUMENT]...: runs a command with its output thrown away and prints what it
// took:
// {"status", "seconds", "cpu", "peak_kib"}. A program of its own, for a child's peak memory starts
// at that of the process it was forked from.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const auto started = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child == 0) {
    const int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, 0);
    dup2(nowhere, 1);
    dup2(nowhere, 2);
    execvp(argv[1], argv + 1);
    _exit(127);
  }
  int status = 0;
  rusage used{};
  if (child < 0 || wait4(child, &status, 0, &used) != child) return 2;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  std::printf("{\"status\": %d, \"seconds\": %.6f, \"cpu\": %.6f, \"peak_kib\": %ld}\n",
              WIFEXITED(status) ? WEXITSTATUS(status) : -1, took.count(),
              seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss);
  return 0;
}
