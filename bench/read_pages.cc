// SPDX-License-Identifier: GPL-2.0-or-later
// Reads every stored page of a dump once, in a random order that is the same for all readers, and
// says how long that took. See kUsage.
#include <fcntl.h>
#include <fmt/format.h>
#include <libkdumpfile/kdumpfile.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "vmcore/dump.h"
#include "vmcore/memory/session.h"

namespace dmaudit::bench {
namespace {

constexpr const char* kUsage =
    R"(read_pages list DUMP               addresses of the stored pages, shuffled, one a line
read_pages dmaudit DUMP LIST THREADS       reads them, prints {"pages", "seconds", "cpu", "sum", "failed"}
read_pages libkdumpfile DUMP LIST THREADS
)";
constexpr size_t kPage = 4096;

struct Work {
  uint64_t sum = 0;     // of words: both readers must have seen the same bytes
  uint64_t failed = 0;  // pages
};
// Reads one share of the pages, in a thread of its own.
using Reader = std::function<Work(std::span<const uint64_t> pages)>;

// One word of each 64 bytes: enough to tell that all of a page was read, and little beside reading
// it.
uint64_t SumOf(std::span<const std::byte> page) {
  uint64_t sum = 0;
  for (size_t i = 0; i < page.size(); i += 64) sum += LoadUnchecked<uint64_t>(page, i);
  return sum;
}

Result<Dump> Open(const std::string& path) {
  DiagnosticSink sink;
  Result<std::vector<Dump>> dumps = OpenDumps({path}, sink);
  if (!dumps) return tl::unexpected<Error>(dumps.error());
  return std::move(dumps->front());
}

Status List(const std::string& path) {
  const Result<Dump> dump = Open(path);
  if (!dump) return tl::unexpected<Error>(dump.error());
  std::vector<uint64_t> pages;
  dump->memory->VisitStored([&pages](PhysAddr base, uint32_t) {
    pages.push_back(base.value());
    return true;
  });
  std::shuffle(pages.begin(), pages.end(), std::mt19937_64(1));
  std::string text;
  for (const uint64_t page : pages) text += fmt::format("{:x}\n", page);
  std::fputs(text.c_str(), stdout);
  return {};
}

std::vector<uint64_t> ReadList(const std::string& path) {
  std::ifstream in(path);
  std::vector<uint64_t> pages;
  for (uint64_t page = 0; in >> std::hex >> page;) pages.push_back(page);
  return pages;
}

Reader OwnReader(const Dump& dump) {
  return [&dump](std::span<const uint64_t> pages) {
    MemorySession session(*dump.memory);
    std::vector<std::byte> buffer(kPage);
    Work work;
    for (const uint64_t page : pages) {
      if (session.Read(PhysAddr(page), buffer).ok()) {
        work.sum += SumOf(buffer);
      } else {
        ++work.failed;
      }
    }
    return work;
  };
}

struct FreeContext {
  void operator()(kdump_ctx_t* context) const { kdump_free(context); }
};
using Context = std::unique_ptr<kdump_ctx_t, FreeContext>;

Result<Context> OpenLibkdumpfile(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);  // stays open until the program ends
  if (file < 0) return Fail(ErrorCode::kIo, "{}: cannot be opened", path);
  Context context(kdump_new());
  if (context == nullptr || kdump_open_fd(context.get(), file) != KDUMP_OK) {
    return Fail(ErrorCode::kIo, "{}: libkdumpfile: {}", path,
                context == nullptr ? "out of memory" : kdump_get_err(context.get()));
  }
  return context;
}

// One clone for each thread, as its manual asks.
Reader LibkdumpfileReader(kdump_ctx_t* original) {
  return [original](std::span<const uint64_t> pages) {
    const Context context(kdump_clone(original, 0));
    std::vector<std::byte> buffer(kPage);
    Work work;
    for (const uint64_t page : pages) {
      size_t size = kPage;
      if (kdump_read(context.get(), KDUMP_MACHPHYSADDR, page, buffer.data(), &size) == KDUMP_OK &&
          size == kPage) {
        work.sum += SumOf(buffer);
      } else {
        ++work.failed;
      }
    }
    return work;
  };
}

// Of all threads. Beside other work on the machine, this says more than the time that passed.
double CpuSeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

void Run(const Reader& reader, std::span<const uint64_t> pages, size_t threads) {
  const double cpu = CpuSeconds();
  const auto started = std::chrono::steady_clock::now();
  std::vector<Work> work(threads);
  std::vector<std::thread> running;
  for (size_t i = 0; i < threads; ++i) {
    const size_t first = pages.size() * i / threads;
    const size_t end = pages.size() * (i + 1) / threads;
    running.emplace_back(
        [&, i, first, end] { work[i] = reader(pages.subspan(first, end - first)); });
  }
  for (std::thread& thread : running) thread.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  Work all;
  for (const Work& part : work) {
    all.sum += part.sum;
    all.failed += part.failed;
  }
  const std::string line = fmt::format(
      R"({{"pages": {}, "seconds": {:.6f}, "cpu": {:.6f}, "sum": "{:x}", "failed": {}}})",
      pages.size(), took.count(), CpuSeconds() - cpu, all.sum, all.failed);
  std::puts(line.c_str());
}

Status Main(const std::vector<std::string>& words) {
  if (words.size() == 2 && words[0] == "list") return List(words[1]);
  if (words.size() != 4 || (words[3] != "1" && words[3] != "2" && words[3] != "4")) {
    return Fail(ErrorCode::kUsage, "{}", kUsage);
  }
  const std::vector<uint64_t> pages = ReadList(words[2]);
  const size_t threads = static_cast<size_t>(words[3][0] - '0');
  if (words[0] == "dmaudit") {
    const Result<Dump> dump = Open(words[1]);
    if (!dump) return tl::unexpected<Error>(dump.error());
    Run(OwnReader(*dump), pages, threads);
    return {};
  }
  if (words[0] == "libkdumpfile") {
    const Result<Context> context = OpenLibkdumpfile(words[1]);
    if (!context) return tl::unexpected<Error>(context.error());
    Run(LibkdumpfileReader(context->get()), pages, threads);
    return {};
  }
  return Fail(ErrorCode::kUsage, "{}", kUsage);
}

}  // namespace
}  // namespace dmaudit::bench

int main(int argc, char** argv) {
  const dmaudit::Status done = dmaudit::bench::Main({argv + 1, argv + argc});
  if (done) return 0;
  std::fputs(fmt::format("read_pages: {}\n", done.error().message).c_str(), stderr);
  return 2;
}
