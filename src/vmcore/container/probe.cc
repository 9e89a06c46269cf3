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
constexpr std::string_view kConvert = "convert it to an ELF or kdump-compressed vmcore";
constexpr std::string_view kNotADump = "not a crash dump";

constexpr std::array kSignatures = {
    Signature{0,
              "\x7f"
              "ELF"sv,
              Container::kElf, "ELF", ""},
    Signature{0, "KDUMP   "sv, Container::kKdump, "kdump-compressed", ""},
    Signature{0, "DISKDUMP"sv, Container::kKdump, "diskdump", ""},
    Signature{0, "makedumpfile\0\0\0\0"sv, Container::kFlattened, "flattened", ""},
    Signature{0, "EMiL"sv, {}, "LiME memory image", kConvert},
    Signature{0, "AVML"sv, {}, "AVML memory image", kConvert},
    Signature{0, "\x1f\x8b"sv, {}, "gzip file", kDecompress},
    Signature{0,
              "\xfd"
              "7zXZ\0"sv,
              {},
              "xz file",
              kDecompress},
    Signature{0, "\x28\xb5\x2f\xfd"sv, {}, "zstd file", kDecompress},
    Signature{0, "BZh"sv, {}, "bzip2 file", kDecompress},
    Signature{0, "\x04\x22\x4d\x18"sv, {}, "lz4 file", kDecompress},
    Signature{0, "\x89LZO\0\r\n\x1a\n"sv, {}, "lzop file", kDecompress},
    Signature{0, "PK\x03\x04"sv, {}, "zip archive", "unpack it first"},
    Signature{257, "ustar"sv, {}, "tar archive", "unpack it first"},
    Signature{0, "QFI\xfb"sv, {}, "qcow2 disk image", kNotADump},
    Signature{0,
              "QEVM"sv,
              {},
              "QEMU migration stream",
              "take an ELF dump with dump-guest-memory instead"},
    Signature{0, "LibvirtQemud"sv, {}, "libvirt save file", "use \"virsh dump --memory-only\""},
    Signature{0, "sadump\0\0"sv, {}, "sadump dump", kConvert},
    Signature{0, "\xed\x23\x8f\x61\x73\x01\x19\xa8"sv, {}, "LKCD dump", kConvert},
    Signature{0, "\xd0\xbe\xd2\xbe"sv, {}, "VMware suspend image", "convert it with vmss2core"},
    Signature{0, "\xd2\xbe\xd2\xbe"sv, {}, "VMware suspend image", "convert it with vmss2core"},
    Signature{0, "\xd3\xbe\xd3\xbe"sv, {}, "VMware suspend image", "convert it with vmss2core"},
    Signature{0, "PAGEDU64"sv, {}, "Windows crash dump", "only Linux dumps are read"},
    Signature{0, "PAGEDUMP"sv, {}, "Windows crash dump", "only Linux dumps are read"},
    Signature{514, "HdrS"sv, {}, "Linux boot image", kNotADump},
};

}  // namespace

Result<Container> ProbeContainer(const ByteSource& source, std::string_view path) {
  std::array<std::byte, 528> start{};
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
  return Fail(ErrorCode::kUnrecognised, "{}: not a crash dump of a known format, starts with{}",
              path, bytes);
}

}  // namespace dmaudit
