// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/atomic_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <optional>

#include "support/temp_dir.h"

namespace dmaudit {
namespace {

using test::ReadText;
using test::TempDir;
using test::WriteText;
using Access = AtomicFile::Access;

TEST_CASE("the file appears complete, with the mode of a new file, and nothing beside it") {
  const TempDir dir;
  const mode_t before = umask(027);
  {
    Result<AtomicFile> file = AtomicFile::Create(dir.File("out"));
    umask(before);
    REQUIRE(file);
    REQUIRE(file->Append("hello "));
    CHECK_FALSE(std::filesystem::exists(dir.File("out")));
    REQUIRE(file->Append("world"));
    REQUIRE(file->Commit());
    CHECK_FALSE(file->Append("more"));
    CHECK_FALSE(file->Commit());
  }
  CHECK(ReadText(dir.File("out")) == "hello world");
  CHECK(dir.Entries() == 1);
  struct stat status {};
  REQUIRE(stat(dir.File("out").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("a file that is replaced keeps its mode, a new one has that which is asked for") {
  const auto mode_of = [](const std::string& path) {
    struct stat status {};
    REQUIRE(stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
  };
  const TempDir dir;
  const auto write = [&](mode_t mode) {
    Result<AtomicFile> file = AtomicFile::Create(dir.File("out"), Access::kPositioned, mode);
    REQUIRE(file);
    REQUIRE(file->WriteAt(0, AsBytes("x")));
    REQUIRE(file->Commit());
  };
  write(AtomicFile::kForOwner);
  CHECK(mode_of(dir.File("out")) == 0600);
  REQUIRE(chmod(dir.File("out").c_str(), 0664) == 0);
  write(AtomicFile::kForOwner);
  CHECK(mode_of(dir.File("out")) == 0664);
  REQUIRE(chmod(dir.File("out").c_str(), 0400) == 0);
  write(AtomicFile::kForAll);
  CHECK(mode_of(dir.File("out")) == 0400);
}

TEST_CASE("without a commit the old file stays and nothing is left behind") {
  const TempDir dir;
  WriteText(dir.File("out"), "old");
  {
    Result<AtomicFile> file = AtomicFile::Create(dir.File("out"));
    REQUIRE(file);
    REQUIRE(file->Append("new"));
    CHECK(dir.Entries() <= 2);            // without a name where the file system can do that
    AtomicFile moved = std::move(*file);  // the temporary file belongs to one object only
  }
  CHECK(ReadText(dir.File("out")) == "old");
  CHECK(dir.Entries() == 1);
}

TEST_CASE("a symbolic link stays, and what it points at is replaced") {
  const TempDir dir;
  std::filesystem::create_directory(dir.File("sub"));
  WriteText(dir.File("sub/real"), "old");
  std::filesystem::create_symlink("sub/real", dir.File("link"));
  Result<AtomicFile> file = AtomicFile::Create(dir.File("link"));
  REQUIRE(file);
  REQUIRE(file->Append("new"));
  REQUIRE(file->Commit());
  CHECK(std::filesystem::is_symlink(dir.File("link")));
  CHECK(ReadText(dir.File("sub/real")) == "new");
}

TEST_CASE("targets that cannot be written are errors with their path") {
  const TempDir dir;
  std::filesystem::create_symlink("nowhere", dir.File("dangling"));
  for (const std::string& path : {dir.path().string(), dir.File("missing/out"), std::string(),
                                  dir.File("dangling"), dir.File("new/")}) {
    CAPTURE(path);
    const Result<AtomicFile> file = AtomicFile::Create(path);
    REQUIRE_FALSE(file);
    CHECK(file.error().code == ErrorCode::kIo);
    CHECK(file.error().message.starts_with(path + ": "));
  }
}

TEST_CASE("positions may come in any order, and gaps are holes") {
  const TempDir dir;
  Result<AtomicFile> file = AtomicFile::Create(dir.File("out"), Access::kPositioned);
  REQUIRE(file);
  constexpr uint64_t kFar = uint64_t{1} << 32;
  REQUIRE(file->WriteAt(kFar, AsBytes("end")));
  REQUIRE(file->WriteAt(0, AsBytes("start")));
  REQUIRE(file->Append("!"));
  REQUIRE(file->ExtendTo(kFar + 4096));
  REQUIRE(file->ExtendTo(1));  // never shorter
  CHECK_FALSE(file->WriteAt(UINT64_MAX, AsBytes("x")));
  REQUIRE(file->Commit());
  struct stat status {};
  REQUIRE(stat(dir.File("out").c_str(), &status) == 0);
  CHECK(static_cast<uint64_t>(status.st_size) == kFar + 4096);
  CHECK(status.st_blocks < 1024);
}

// What comes out of a pipe whose write end is named as an open descriptor.
std::string ThroughPipe(Access access) {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  Result<AtomicFile> file = AtomicFile::Create(fmt::format("/dev/fd/{}", ends[1]), access);
  REQUIRE(file);
  close(ends[1]);
  if (access == Access::kPositioned) {
    REQUIRE(file->WriteAt(3, AsBytes("def")));
    REQUIRE(file->WriteAt(0, AsBytes("abc")));
  } else {
    REQUIRE(file->Append("abc"));
    REQUIRE(file->Append("def"));
  }
  REQUIRE(file->Commit());
  std::array<char, 64> buffer{};
  const ssize_t got = read(ends[0], buffer.data(), buffer.size());
  close(ends[0]);
  return std::string(buffer.data(), static_cast<size_t>(std::max<ssize_t>(got, 0)));
}

TEST_CASE("a pipe is written straight, positioned output at the commit") {
  CHECK(ThroughPipe(Access::kSequential) == "abcdef");
  CHECK(ThroughPipe(Access::kPositioned) == "abcdef");
}

TEST_CASE("an open descriptor is written where it stands, not replaced") {
  const TempDir dir;
  WriteText(dir.File("log"), "before ");
  const int log = open(dir.File("log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  REQUIRE(log >= 0);
  {
    Result<AtomicFile> file = AtomicFile::Create(fmt::format("/dev/fd/{}", log));
    REQUIRE(file);
    REQUIRE(file->Append("after"));
    REQUIRE(file->Commit());
  }
  close(log);
  CHECK(ReadText(dir.File("log")) == "before after");
  CHECK(dir.Entries() == 1);
  CHECK_FALSE(AtomicFile::Create(fmt::format("/dev/fd/{}", log)));  // closed by now
}

TEST_CASE("a full device is an error with the path") {
  for (const Access access : {Access::kSequential, Access::kPositioned}) {
    Result<AtomicFile> file = AtomicFile::Create("/dev/full", access);
    REQUIRE(file);
    Status status = file->Append("x");
    if (status) status = file->Commit();
    REQUIRE_FALSE(status);
    CHECK(status.error().message == "/dev/full: write failed: No space left on device");
  }
}

TEST_CASE("a write cut short by a limit is an error, and nothing is left behind") {
  const TempDir dir;
  WriteText(dir.File("out"), "old");
  struct rlimit before {};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, SIG_IGN);
  {
    Result<AtomicFile> file = AtomicFile::Create(dir.File("out"));
    REQUIRE(file);
    const struct rlimit small { 10, before.rlim_max };
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    const Status status = file->Append("more than ten bytes");
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    REQUIRE_FALSE(status);
    CHECK(status.error().message.starts_with(dir.File("out") + ": write failed: "));
  }
  std::signal(SIGXFSZ, SIG_DFL);
  CHECK(ReadText(dir.File("out")) == "old");
  CHECK(dir.Entries() == 1);
}

}  // namespace
}  // namespace dmaudit
