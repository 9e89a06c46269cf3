// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/probe.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit {
namespace {

using namespace std::string_view_literals;

Result<Container> Probe(std::string_view start, size_t offset = 0) {
  std::vector<std::byte> bytes(8192);
  std::copy_n(AsBytes(start).begin(), start.size(), bytes.begin() + static_cast<ptrdiff_t>(offset));
  return ProbeContainer(MemorySource(std::move(bytes)), "dump");
}

TEST_CASE("the containers that are read") {
  CHECK(Probe("\177ELF"sv).value() == Container::kElf);
  CHECK(Probe("KDUMP   "sv).value() == Container::kKdump);
  CHECK(Probe("DISKDUMP"sv).value() == Container::kKdump);
  CHECK(Probe("makedumpfile\0\0\0\0"sv).value() == Container::kFlattened);
  CHECK(Probe("EMiL"sv).value() == Container::kLime);
  CHECK(Probe("AVML"sv).value() == Container::kAvml);
}

TEST_CASE("other formats are refused by name, with advice") {
  struct Case {
    std::string_view start;
    size_t offset;
    std::string_view name;
  };
  const Case cases[] = {
      {"diskdump"sv, 0, "diskdump partition"},
      {"\x1f\x8b\x08"sv, 0, "gzip"},
      {"\x50\x2a\x4d\x18"sv, 0, "zstd or lz4"},
      {"\x5f\x2a\x4d\x18"sv, 0, "zstd or lz4"},
      {"LZIP\1"sv, 0, "lzip"},
      {"LRZI\0"sv, 0, "lrzip"},
      {"\x7fVirtualBox SavedState V2.0\n"sv, 0, "VirtualBox"},
      {"MZ\0\0zimg"sv, 0, "Linux boot image"},
      {"\xfd\x37zXZ\0"sv, 0, "xz"},
      {"\x5d\0\0\x80\0"sv, 0, "lzma"},
      {"\x28\xb5\x2f\xfd"sv, 0, "zstd"},
      {"BZh9"sv, 0, "bzip2"},
      {"\x04\x22\x4d\x18"sv, 0, "lz4"},
      {"\x02\x21\x4c\x18"sv, 0, "lz4"},
      {"\x89LZO\0\r\n\x1a\n"sv, 0, "lzop"},
      {"\xff\x06\0\0sNaPpY"sv, 0, "snappy file"},
      {"\x1f\x9d\x90"sv, 0, "compress"},
      {"PK\x03\x04"sv, 0, "zip"},
      {"7z\xbc\xaf\x27\x1c"sv, 0, "7z"},
      {"ustar"sv, 257, "tar"},
      {"070701"sv, 0, "cpio"},
      {"EVF\x09\r\n\xff\0"sv, 0, "EnCase"},
      {"sadump\0\0"sv, 0, "sadump"},
      {"sadump\0\0"sv, 4096, "sadump"},
      {"\xed\x23\x8f\x61\x73\x01\x19\xa8"sv, 0, "LKCD"},
      {"\xcd\x23\x8f\x61\x73\x01\x19\xa8"sv, 0, "LKCD live"},
      {"\xa8\x19\x01\x73\x61\x8f\x23\xed"sv, 0, "big-endian LKCD"},
      {"\xa8\x19\x01\x73\x61\x8f\x23\xfd"sv, 0, "s390"},
      {"QEVM"sv, 0, "QEMU migration"},
      {"LibvirtQemudSave"sv, 0, "libvirt"},
      {"LibvirtQemudPart"sv, 0, "libvirt"},
      {"\xd0\xbe\xd2\xbe"sv, 0, "VMware"},
      {"\xd1\xba\xd1\xba"sv, 0, "VMware"},
      {"\xd2\xbe\xd2\xbe"sv, 0, "VMware"},
      {"\xd3\xbe\xd3\xbe"sv, 0, "VMware"},
      {"\xed\xeb\x0f\xf0"sv, 0, "Xen"},
      {"\xee\xeb\x0f\xf0"sv, 0, "Xen"},
      {"LinuxGuestRecord"sv, 0, "Xen"},
      {"LibxlFmt"sv, 0, "Xen"},
      {"Xen saved domain, xl format\n \0 \r"sv, 0, "xl save"},
      {"\xff\xff\xff\xff\xff\xff\xff\xffXENF\0\0\0\3"sv, 0, "Xen guest (migration stream)"},
      {"libvirt-xml\n \0 \r"sv, 0, "Xen guest (libvirt)"},
      {"PAGEDU64"sv, 0, "Windows"},
      {"PAGEDUMP"sv, 0, "Windows"},
      {"MDMP"sv, 0, "minidump"},
      {"minidump FreeBSD/amd64"sv, 0, "FreeBSD"},
      {"\xcf\xfa\xed\xfe"sv, 0, "Mach-O"},
      {"QFI\xfb"sv, 0, "qcow2"},
      {"KDMV"sv, 0, "VMDK"},
      {"conectix"sv, 0, "VHD"},
      {"vhdxfile"sv, 0, "VHDX"},
      {"S1SUSPEND\0"sv, 4086, "hibernation image"},
      {"SWAPSPACE2"sv, 4086, "swap area"},
      {"HdrS"sv, 514, "boot image"},
      {"[    0.000000] Linux version"sv, 0, "kernel log"},
  };
  for (const Case& c : cases) {
    const Result<Container> container = Probe(c.start, c.offset);
    INFO(c.name);
    REQUIRE_FALSE(container);
    CHECK(container.error().code == ErrorCode::kUnsupported);
    CHECK(container.error().message.starts_with("dump: "));
    CHECK(container.error().message.find(c.name) != std::string::npos);
    CHECK(container.error().message.find("; ") != std::string::npos);
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
