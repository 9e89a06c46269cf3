// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/debuginfod.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "base/bytes.h"
#include "kernel/isolated.h"

namespace dmaudit {
namespace {

// A kernel's debug file is near a gigabyte.
constexpr IsolationLimits kDownload = {.seconds = 1800, .answer = 4096};

// The client's interface, as of elfutils 0.178. The library is looked for when it is needed: builds
// do without.
using Begin = void* (*)();
using Find = int (*)(void* client, const unsigned char* build_id, int length, char** path);

template <typename Function>
Function Symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

// "=path" or the reason why there is none.
std::string Download(const std::string& build_id) {
  void* library = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return "libdebuginfod.so.1 is not installed";
  const auto begin = Symbol<Begin>(library, "debuginfod_begin");
  const auto find = Symbol<Find>(library, "debuginfod_find_debuginfo");
  void* client = begin == nullptr || find == nullptr ? nullptr : begin();
  if (client == nullptr) return "the client does not start";
  char* path = nullptr;
  // A length of 0: the build id is text.
  const int descriptor =
      find(client, reinterpret_cast<const unsigned char*>(build_id.c_str()), 0, &path);
  if (descriptor < 0) return strerror(-descriptor);
  (void)close(descriptor);
  return path == nullptr ? "no path" : "=" + std::string(path);
}

}  // namespace

Result<std::string> AskDebuginfod(std::string_view build_id) {
  const char* servers = std::getenv("DEBUGINFOD_URLS");
  if (servers == nullptr || servers[0] == '\0') {
    return Fail(ErrorCode::kNotFound, "debuginfod: $DEBUGINFOD_URLS names no server");
  }
  const std::string wanted(build_id);
  const Result<std::vector<std::byte>> answer = RunIsolated(
      [&wanted] {
        const std::string text = Download(wanted);
        const auto bytes = AsBytes(std::string_view(text));
        return std::vector<std::byte>(bytes.begin(), bytes.end());
      },
      kDownload);
  if (!answer) return Within("debuginfod: the client", answer.error());
  const std::string_view text = AsText(*answer);
  if (!text.starts_with('=')) return Fail(ErrorCode::kNotFound, "debuginfod: {}", text);
  return std::string(text.substr(1));
}

}  // namespace dmaudit
