// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/io/file_source.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>
#include <thread>
#include <vector>

namespace dmaudit {
namespace {

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "dmaudit-test-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

TEST_CASE("reads come up short at the end, and only there") {
  const Folder folder;
  WriteFile(folder / "f", "0123456789");
  const auto source = FileSource::Open(folder / "f");
  REQUIRE(source);
  CHECK((*source)->size() == 10);
  std::array<std::byte, 8> out{};
  CHECK((*source)->ReadAt(FileOffset(1), out).value() == 8);
  CHECK(out[0] == std::byte{'1'});
  CHECK((*source)->ReadAt(FileOffset(2), out).value() == 8);
  CHECK((*source)->ReadAt(FileOffset(3), out).value() == 7);
  CHECK((*source)->ReadAt(FileOffset(10), out).value() == 0);
  CHECK((*source)->ReadAt(FileOffset(uint64_t{1} << 63), out).value() == 0);
  CHECK((*source)->ReadAt(FileOffset(UINT64_MAX), out).value() == 0);
}

// A file of 20,000 bytes, zeros from 8000 on, whose server says that it ends at kServerEnd.
constexpr uint64_t kServerEnd = 9000;

Result<std::unique_ptr<FileSource>> OnServer(const std::string& path, FileSource::AskSize ask) {
  WriteFile(path, std::string(8000, 'x') + std::string(12000, '\0'));
  return FileSource::Adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC), path, ask);
}

std::string FaultsOf(const FileSource& source) {
  DiagnosticSink sink;
  source.ReportFaults(sink);
  std::string ids;
  for (const Diagnostic& diagnostic : sink.diagnostics()) ids += std::string(diagnostic.id) + " ";
  return ids;
}

TEST_CASE("zeros behind the end that a file has on its server are no bytes of it") {
  const Folder folder;
  const auto source = OnServer(folder / "f", [](int) { return int64_t{kServerEnd}; });
  REQUIRE(source);
  std::vector<std::byte> out(20000);
  const auto read = [&](uint64_t offset, size_t size) {
    return (*source)->ReadAt(FileOffset(offset), std::span(out).first(size)).value();
  };
  CHECK(read(0, 8000) == 8000);  // no zero: nobody is asked
  CHECK(read(100, 4000) == 4000);
  CHECK(FaultsOf(**source) == "");
  CHECK(read(0, 8192) == 8192);  // zeros of the file
  CHECK(read(8500, 500) == 500);
  CHECK(FaultsOf(**source) == "");
  CHECK(read(8500, 501) == 500);
  CHECK(FaultsOf(**source) == "input.shrunk ");
  CHECK(read(0, 20000) == kServerEnd);
  CHECK(read(kServerEnd, 100) == 0);
  CHECK(read(16000, 100) == 0);
}

TEST_CASE(
    "a file whose reads end with it is not asked for, a server that does not answer is told") {
  const Folder folder;
  std::vector<std::byte> out(100);
  const auto local = OnServer(folder / "f", nullptr);
  REQUIRE(local);
  CHECK((*local)->ReadAt(FileOffset(16000), out).value() == 100);
  const auto silent = OnServer(folder / "f", [](int) {
    errno = ETIMEDOUT;
    return int64_t{-1};
  });
  REQUIRE(silent);
  CHECK((*silent)->ReadAt(FileOffset(0), out).value() == 100);
  CHECK_FALSE((*silent)->ReadAt(FileOffset(16000), out));
  CHECK_FALSE((*silent)->ReadAt(FileOffset(0), out));  // and is not asked again
  CHECK(FaultsOf(**silent) == "input.read-failed ");
  const auto removed = OnServer(folder / "f", [](int) {
    errno = ESTALE;
    return int64_t{-1};
  });
  REQUIRE(removed);
  CHECK_FALSE((*removed)->ReadAt(FileOffset(16000), out));
  CHECK((*removed)->ReadAt(FileOffset(0), out).value() == 100);  // bytes that the client still has
  CHECK(FaultsOf(**removed) == "input.read-failed ");
}

TEST_CASE("made-up zeros go on to the end of a page of the file, or of the read") {
  std::vector<std::byte> bytes(12288, std::byte{1});
  CHECK_FALSE(MayBeMadeUp(0, bytes));
  CHECK_FALSE(MayBeMadeUp(0, {}));
  for (const size_t zero :
       {size_t{4094}, size_t{4095}, size_t{4096}, size_t{12286}, size_t{12287}}) {
    CAPTURE(zero);
    bytes[zero] = std::byte{0};
    CHECK(MayBeMadeUp(0, bytes) == (zero == 4095 || zero == 12287));
    CHECK(MayBeMadeUp(8192, bytes) == (zero == 4095 || zero == 12287));
    CHECK(MayBeMadeUp(8193, bytes) == (zero == 4094 || zero == 12286 || zero == 12287));
    bytes[zero] = std::byte{1};
  }
}

TEST_CASE("the size now is that of the file, and local reads end with it") {
  const Folder folder;
  WriteFile(folder / "f", "0123456789");
  const int fd = ::open((folder / "f").c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(SizeNow(fd) == 10);
  CHECK(::truncate((folder / "f").c_str(), 4) == 0);
  CHECK(SizeNow(fd) == 4);
  ::close(fd);
  CHECK(SizeNow(-1) == -1);
  CHECK_FALSE(ReadsEndWithTheFile(-1));
}

TEST_CASE("a file that shrinks while it is open gives short reads") {
  const Folder folder;
  WriteFile(folder / "f", std::string(20000, 'x'));
  const auto source = FileSource::Open(folder / "f");
  REQUIRE(source);
  REQUIRE(::truncate((folder / "f").c_str(), 5000) == 0);
  std::array<std::byte, 4096> out{};
  CHECK((*source)->ReadAt(FileOffset(4096), out).value() == 904);
  CHECK((*source)->ReadAt(FileOffset(8192), out).value() == 0);
}

TEST_CASE("a file that shrinks has no holes where it was") {
  const Folder folder;
  WriteFile(folder / "f", std::string(200000, 'x'));
  const auto source = FileSource::Open(folder / "f");
  REQUIRE(source);
  REQUIRE(::truncate((folder / "f").c_str(), 5000) == 0);
  // Skipping what is gone would make zeros of it.
  CHECK((*source)->SkipHole(FileOffset(8192)) == FileOffset(8192));
}

TEST_CASE("what went wrong with reads is said, once for each kind") {
  const Folder folder;
  WriteFile(folder / "f", std::string(20000, 'x'));
  const auto source = FileSource::Open(folder / "f");
  REQUIRE(source);
  std::array<std::byte, 4096> out{};
  REQUIRE((*source)->ReadAt(FileOffset(18000), out).value() == 2000);
  DiagnosticSink before;
  (*source)->ReportFaults(before);
  CHECK(before.diagnostics().empty());
  REQUIRE(::truncate((folder / "f").c_str(), 5000) == 0);
  REQUIRE((*source)->ReadAt(FileOffset(8192), out).value() == 0);
  REQUIRE((*source)->ReadAt(FileOffset(4096), out).value() == 904);
  DiagnosticSink shrunk;
  (*source)->ReportFaults(shrunk);
  REQUIRE(shrunk.diagnostics().size() == 1);
  CHECK(shrunk.incomplete("input.shrunk"));
  CHECK(shrunk.diagnostics()[0].message.starts_with(
      folder / "f: had 0x4e20 bytes when it was opened, and reads end at 0x1388"));

  // No device that fails is at hand everywhere; a descriptor that does not read is.
  const auto failing =
      FileSource::Adopt(::open((folder / "f").c_str(), O_WRONLY | O_CLOEXEC), folder / "f");
  REQUIRE(failing);
  CHECK_FALSE((*failing)->ReadAt(FileOffset(0x123), out));
  CHECK_FALSE((*failing)->ReadAt(FileOffset(0), out));
  DiagnosticSink failed;
  (*failing)->ReportFaults(failed);
  REQUIRE(failed.diagnostics().size() == 1);
  CHECK(failed.incomplete("input.read-failed"));
  CHECK(failed.diagnostics()[0].message ==
        folder /
            "f: reading at 0x123: Bad file descriptor, the first of 2 reads that failed: what "
            "is there is not known");
}

TEST_CASE("a file that grows while it is open keeps its size") {
  const Folder folder;
  WriteFile(folder / "f", "0123");
  const auto source = FileSource::Open(folder / "f");
  REQUIRE(source);
  WriteFile(folder / "f", "01234567");
  std::array<std::byte, 8> out{};
  CHECK((*source)->ReadAt(FileOffset(0), out).value() == 4);
  CHECK((*source)->ReadAt(FileOffset(6), out).value() == 0);
}

// Descriptors of this process that are of the file.
size_t OpenDescriptors(const std::string& path) {
  size_t count = 0;
  std::error_code gone;  // the descriptor that the listing itself uses
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    if (std::filesystem::read_symlink(entry.path(), gone) == path) ++count;
  }
  return count;
}

// Reads the file on every processor this process may use, each of which must see all of it. Gives
// how many of them differ in their number's last four bits.
size_t ReadOnEveryProcessor(const FileSource& source, const std::string& content) {
  cpu_set_t allowed;
  REQUIRE(::sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  std::atomic<size_t> alike = 0;
  std::vector<std::thread> running;
  std::set<size_t> numbers;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    numbers.insert(cpu % 16);
    running.emplace_back([&, cpu] {
      cpu_set_t here;
      CPU_ZERO(&here);
      CPU_SET(cpu, &here);
      const bool moved = ::sched_setaffinity(0, sizeof here, &here) == 0;
      std::string out(content.size(), '\0');
      const auto got =
          source.ReadAt(FileOffset(0), std::as_writable_bytes(std::span(out.data(), out.size())));
      if (moved && got && out == content) ++alike;
    });
  }
  for (std::thread& thread : running) thread.join();
  CHECK(alike == running.size());
  return numbers.size();
}

TEST_CASE("processors read a local file through open files of their own, closed with it") {
  const Folder folder;
  const std::string path = folder / "f";
  WriteFile(path, "0123456789");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool local = ReadsEndWithTheFile(fd);
  auto source = FileSource::Adopt(fd, path);
  REQUIRE(source);
  std::array<std::byte, 1> byte{};
  REQUIRE((*source)->ReadAt(FileOffset(0), byte));
  CHECK(OpenDescriptors(path) == 1);
  const size_t expected = ReadOnEveryProcessor(**source, "0123456789");
  CHECK(OpenDescriptors(path) == (local ? expected : 1));
  source->reset();
  CHECK(OpenDescriptors(path) == 0);
}

TEST_CASE("a file of a server is opened once") {
  const Folder folder;
  const std::string path = folder / "f";
  WriteFile(path, "0123456789");
  auto source = FileSource::Adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC), path,
                                  [](int) -> int64_t { return 10; });
  REQUIRE(source);
  ReadOnEveryProcessor(**source, "0123456789");
  CHECK(OpenDescriptors(path) == 1);
}

TEST_CASE("what cannot be read by position is one error that names the file") {
  const Folder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  WriteFile(folder / "empty", "");
  struct Case {
    std::string path;
    std::string_view reason;
  };
  const Case cases[] = {
      {folder / ".", "is a directory"},       {folder / "pipe", "is a pipe"},
      {folder / "empty", "is empty"},         {folder / "none", "No such file"},
      {"/dev/null", "is a character device"},
  };
  for (const Case& c : cases) {
    const auto source = FileSource::Open(c.path);
    REQUIRE_FALSE(source);
    CHECK(source.error().message.starts_with(c.path + ": "));
    CHECK(source.error().message.find(c.reason) != std::string::npos);
  }
}

TEST_CASE("a file without permission is an error" * doctest::skip(::geteuid() == 0)) {
  const Folder folder;
  WriteFile(folder / "f", "x");
  REQUIRE(::chmod((folder / "f").c_str(), 0) == 0);
  const auto source = FileSource::Open(folder / "f");
  REQUIRE_FALSE(source);
  CHECK(source.error().message.find("Permission denied") != std::string::npos);
}

TEST_CASE("holes are skipped, data never") {
  const Folder folder;
  const int fd = ::open((folder / "f").c_str(), O_CREAT | O_RDWR, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(::ftruncate(fd, 1 << 24) == 0);
  REQUIRE(::pwrite(fd, "x", 1, 1 << 20) == 1);
  ::close(fd);
  const auto source = FileSource::Open(folder / "f");
  REQUIRE(source);
  // A file system without holes may answer "here"; none may answer beyond the data.
  const FileOffset data(1 << 20);
  CHECK((*source)->SkipHole(FileOffset(0)) <= data);
  CHECK((*source)->SkipHole(data) == data);
  CHECK((*source)->SkipHole(FileOffset(1 << 23)) <= FileOffset(1 << 24));
  CHECK((*source)->SkipHole(FileOffset(UINT64_MAX)) == FileOffset(UINT64_MAX));
}

}  // namespace
}  // namespace dmaudit
