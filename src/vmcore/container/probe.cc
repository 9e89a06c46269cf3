// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/probe.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace dmaudit {
namespace {

using namespace std::string_view_literals;

struct Signature {
  size_t offset;
  std::string_view bytes;
  std::optional<Container> container;  // nothing: recognised and refused
  std::string_view name;
  std::string_view advice;
};

constexpr std::string_view kDecompress = "decompress it first";
constexpr std::string_view kUnpack = "unpack it first";
constexpr std::string_view kConvert = "convert it to an ELF or kdump-compressed vmcore";
constexpr std::string_view kDumpInstead =
    "take an ELF dump instead: dump-guest-memory, or \"virsh dump --memory-only\"";
constexpr std::string_view kVmware = "convert it with vmss2core -N, or give its .vmem with --raw";
constexpr std::string_view kVirtualBox =
    "take an ELF dump instead: VBoxManage debugvm VM dumpvmcore";
constexpr std::string_view kXen = "let the guest's own kdump write a vmcore";
constexpr std::string_view kZgetdump = "convert it with zgetdump -f elf";
constexpr std::string_view kOnlyLinux = "only dumps of Linux are read";
constexpr std::string_view kNotADump = "not a crash dump";

constexpr std::array kSignatures = {
    Signature{0, "\177ELF"sv, Container::kElf, "ELF", ""},
    Signature{0, "KDUMP   "sv, Container::kKdump, "kdump-compressed", ""},
    Signature{0, "DISKDUMP"sv, Container::kKdump, "diskdump", ""},
    Signature{0, "makedumpfile\0\0\0\0"sv, Container::kFlattened, "flattened", ""},
    Signature{0, "EMiL"sv, Container::kLime, "LiME", ""},
    Signature{0, "AVML"sv, Container::kAvml, "AVML", ""},
    // Wrapped.
    Signature{0, "\x1f\x8b"sv, {}, "gzip file", kDecompress},
    Signature{0, "\xfd\x37zXZ\0"sv, {}, "xz file", kDecompress},
    Signature{0, "\x5d\0\0"sv, {}, "lzma file", kDecompress},
    Signature{0, "\x28\xb5\x2f\xfd"sv, {}, "zstd file", kDecompress},
    Signature{0, "BZh"sv, {}, "bzip2 file", kDecompress},
    Signature{0, "\x04\x22\x4d\x18"sv, {}, "lz4 file", kDecompress},
    Signature{0, "\x02\x21\x4c\x18"sv, {}, "lz4 file", kDecompress},
    Signature{1, "\x2a\x4d\x18"sv, {}, "zstd or lz4 file", kDecompress},
    Signature{0, "LZIP"sv, {}, "lzip file", kDecompress},
    Signature{0, "LRZI"sv, {}, "lrzip file", kDecompress},
    Signature{0, "\x89LZO\0\r\n\x1a\n"sv, {}, "lzop file", kDecompress},
    Signature{0, "\xff\x06\0\0sNaPpY"sv, {}, "snappy file", kDecompress},
    Signature{0, "\x1f\x9d"sv, {}, "compress (.Z) file", kDecompress},
    Signature{0, "PK\x03\x04"sv, {}, "zip archive", kUnpack},
    Signature{0, "7z\xbc\xaf\x27\x1c"sv, {}, "7z archive", kUnpack},
    Signature{257, "ustar"sv, {}, "tar archive", kUnpack},
    Signature{0, "070701"sv, {}, "cpio archive", kUnpack},
    Signature{0, "EVF\x09\r\n\xff\0"sv, {}, "EnCase image", "export its content first"},
    // Other dumps of Linux, and of whole guests.
    Signature{0, "sadump\0\0"sv, {}, "sadump dump", kConvert},
    Signature{4096, "sadump\0\0"sv, {}, "sadump dump on its own medium", kConvert},
    Signature{0, "diskdump"sv, {}, "diskdump partition", kConvert},
    Signature{0, "\xed\x23\x8f\x61\x73\x01\x19\xa8"sv, {}, "LKCD dump", kConvert},
    Signature{0, "\xcd\x23\x8f\x61\x73\x01\x19\xa8"sv, {}, "LKCD live dump", kConvert},
    Signature{0, "\xa8\x19\x01\x73\x61\x8f\x23\xed"sv, {}, "big-endian LKCD dump", kConvert},
    Signature{0, "\xa8\x19\x01\x73\x61\x8f\x23\xfd"sv, {}, "stand-alone dump of s390", kZgetdump},
    Signature{0, "QEVM"sv, {}, "QEMU migration stream (kvmdump)", kDumpInstead},
    Signature{0, "LibvirtQemud"sv, {}, "libvirt save file (kvmdump)", kDumpInstead},
    Signature{0, "\xd0\xbe\xd2\xbe"sv, {}, "VMware suspend image", kVmware},
    Signature{0, "\xd1\xba\xd1\xba"sv, {}, "VMware suspend image", kVmware},
    Signature{0, "\xd2\xbe\xd2\xbe"sv, {}, "VMware suspend image", kVmware},
    Signature{0, "\xd3\xbe\xd3\xbe"sv, {}, "VMware suspend image", kVmware},
    Signature{0, "\x7fVirtualBox SavedState"sv, {}, "saved state of VirtualBox", kVirtualBox},
    Signature{0, "\xed\xeb\x0f\xf0"sv, {}, "core of a Xen guest (xm dump-core)", kXen},
    Signature{0, "\xee\xeb\x0f\xf0"sv, {}, "core of a Xen guest (xm dump-core)", kXen},
    Signature{0, "LinuxGuestRecord"sv, {}, "saved Xen guest", kXen},
    Signature{0, "LibxlFmt"sv, {}, "saved Xen guest", kXen},
    Signature{0, "Xen saved domain, xl format"sv, {}, "saved Xen guest (xl save)", kXen},
    Signature{0,
              "\xff\xff\xff\xff\xff\xff\xff\xffXENF"sv,
              {},
              "saved Xen guest (migration stream)",
              kXen},
    Signature{0, "libvirt-xml"sv, {}, "saved Xen guest (libvirt)", kXen},
    // Other systems.
    Signature{0, "PAGEDU64"sv, {}, "Windows crash dump", kOnlyLinux},
    Signature{0, "PAGEDUMP"sv, {}, "Windows crash dump", kOnlyLinux},
    Signature{0, "MDMP"sv, {}, "Windows minidump", kOnlyLinux},
    Signature{0, "minidump FreeBSD"sv, {}, "FreeBSD crash dump", kOnlyLinux},
    Signature{0, "\xcf\xfa\xed\xfe"sv, {}, "Mach-O file", kOnlyLinux},
    // What people take for a dump.
    Signature{4086, "S1SUSPEND"sv, {}, "hibernation image in a swap area", kNotADump},
    Signature{4086, "SWAPSPACE2"sv, {}, "swap area", kNotADump},
    Signature{0, "QFI\xfb"sv, {}, "qcow2 disk image", kNotADump},
    Signature{0, "KDMV"sv, {}, "VMDK disk image", kNotADump},
    Signature{0, "conectix"sv, {}, "VHD disk image", kNotADump},
    Signature{0, "vhdxfile"sv, {}, "VHDX disk image", kNotADump},
    Signature{514, "HdrS"sv, {}, "Linux boot image", kNotADump},
    Signature{4, "zimg"sv, {}, "Linux boot image", kNotADump},
    Signature{0, "[    0.000000]"sv, {}, "kernel log", kNotADump},
};

}  // namespace

Result<Container> ProbeContainer(const ByteSource& source, std::string_view path) {
  std::array<std::byte, 4096 + 8> start{};
  const Result<size_t> got = source.ReadAt(FileOffset(0), start);
  if (!got) return tl::unexpected(got.error());
  const std::string_view text = AsText(std::span(start).first(*got));
  for (const Signature& signature : kSignatures) {
    if (text.size() < signature.offset ||
        text.substr(signature.offset, signature.bytes.size()) != signature.bytes) {
      continue;
    }
    if (signature.container) return *signature.container;
    return Fail(ErrorCode::kUnsupported, "{}: {}, which this version does not read; {}", path,
                signature.name, signature.advice);
  }
  std::string bytes;
  for (const char c : text.substr(0, 8)) {
    bytes += fmt::format(" {:02x}", static_cast<unsigned char>(c));
  }
  return Fail(ErrorCode::kUnrecognised,
              "{}: not a crash dump of a known format, starts with{} (an image of bare memory has "
              "no signature: say so with --raw)",
              path, bytes);
}

}  // namespace dmaudit
