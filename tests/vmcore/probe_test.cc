// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/probe.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit {
namespace {

using namespace std::string_view_literals;

Result<Container> Probe(std::string_view start, size_t offset = 0) {
  std::vector<std::byte> bytes(1024);
  std::copy_n(AsBytes(start).begin(), start.size(), bytes.begin() + static_cast<ptrdiff_t>(offset));
  return ProbeContainer(MemorySource(std::move(bytes)), "dump");
}

TEST_CASE("the containers that are read") {
  CHECK(Probe("\x7f"
              "ELF"sv)
            .value() == Container::kElf);
  CHECK(Probe("KDUMP   "sv).value() == Container::kKdump);
  CHECK(Probe("DISKDUMP"sv).value() == Container::kKdump);
  CHECK(Probe("makedumpfile\0\0\0\0"sv).value() == Container::kFlattened);
}

TEST_CASE("other formats are refused by name, with advice") {
  struct Case {
    std::string_view start;
    size_t offset;
    std::string_view name;
  };
  const Case cases[] = {
      {"EMiL"sv, 0, "LiME"},
      {"AVML"sv, 0, "AVML"},
      {"\x1f\x8b\x08"sv, 0, "gzip"},
      {"\xfd"
       "7zXZ\0"sv,
       0, "xz"},
      {"\x28\xb5\x2f\xfd"sv, 0, "zstd"},
      {"BZh9"sv, 0, "bzip2"},
      {"\x04\x22\x4d\x18"sv, 0, "lz4"},
      {"PK\x03\x04"sv, 0, "zip"},
      {"ustar"sv, 257, "tar"},
      {"HdrS"sv, 514, "boot image"},
      {"PAGEDU64"sv, 0, "Windows"},
      {"QFI\xfb"sv, 0, "qcow2"},
      {"LibvirtQemudSave"sv, 0, "libvirt"},
  };
  for (const Case& c : cases) {
    const Result<Container> container = Probe(c.start, c.offset);
    INFO(c.name);
    REQUIRE_FALSE(container);
    CHECK(container.error().code == ErrorCode::kUnsupported);
    CHECK(container.error().message.starts_with("dump: "));
    CHECK(container.error().message.find(c.name) != std::string::npos);
    CHECK(container.error().message.find('\n') == std::string::npos);
  }
}

TEST_CASE("anything else is not recognised, however short") {
  CHECK(Probe("hello").error().code == ErrorCode::kUnrecognised);
  CHECK(Probe("hello").error().message.find("68 65 6c 6c 6f") != std::string::npos);
  for (size_t size = 0; size < 8; ++size) {
    std::vector<std::byte> bytes(size, std::byte{'K'});
    CHECK(ProbeContainer(MemorySource(std::move(bytes)), "dump").error().code ==
          ErrorCode::kUnrecognised);
  }
}

}  // namespace
}  // namespace dmaudit
