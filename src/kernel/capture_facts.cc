// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/capture_facts.h"

#include <fmt/format.h>

#include <array>

#include "base/bytes.h"
#include "kernel/iommu_arguments.h"
#include "kernel/kernel_view.h"
#include "vmcore/memory/session.h"

namespace dmaudit {
namespace {

// struct boot_params (arch/x86/include/uapi/asm/bootparam.h): the interface between boot loader and
// kernel, so its offsets are the same for all of them. The boot flag in front of the header is no
// mark: kexec-tools overwrites its second byte.
constexpr uint64_t kExtCmdLinePtr = 0x0c8;  // upper half of the address
constexpr uint64_t kHeader = 0x202;
constexpr uint64_t kCmdLinePtr = 0x228;
constexpr uint32_t kHeaderValue = 0x53726448;  // "HdrS"
constexpr uint64_t kBootParamsSize = 4096;
// KEXEC_SEGMENT_MAX is 16.
constexpr size_t kMaxSegments = 16;

template <typename T>
ReadStatus ReadAt(MemorySession& session, uint64_t address, T& value) {
  std::array<std::byte, sizeof(T)> bytes;
  const ReadStatus status = session.Read(PhysAddr(address), bytes);
  if (status.ok()) value = LoadUnchecked<T>(bytes, 0);
  return status;
}

// A NUL-terminated text; what follows an unknown byte is unknown too.
Result<std::string> ReadText(MemorySession& session, PhysAddr address) {
  std::string text;
  while (text.size() < kMaxKernelCommandLine) {
    std::byte byte{};
    const std::optional<PhysAddr> at = address.Plus(text.size());
    if (!at) return Fail(ErrorCode::kMalformed, "out of the address space");
    const ReadStatus status = session.Read(*at, {&byte, 1});
    if (!status.ok()) {
      return Fail(ErrorCode::kUnknown, "{:#x} is {}", at->value(), ToString(status.state));
    }
    if (byte == std::byte{0}) break;
    text += static_cast<char>(byte);
  }
  return text;
}

class ImageCommandLine {
 public:
  ImageCommandLine(MemorySession& session, const CrashImage& image, CaptureFacts& facts)
      : session_(session), image_(image), facts_(facts) {}

  void Read() {
    size_t looked_at = 0;
    for (const ImageSegment& segment : image_.segments) {
      if (looked_at++ == kMaxSegments) break;
      const std::optional<PhysAddr> last = segment.range.first.Plus(kBootParamsSize - 1);
      if (segment.loaded_bytes >= kBootParamsSize && last && segment.range.Contains(*last)) {
        ReadSegment(segment);
      }
    }
    if (facts_.command_line) return;
    if (!reason_.empty()) {
      facts_.no_command_line = reason_;
    } else if (image_.segments.empty() || !image_.complete) {
      facts_.no_command_line = "where the pieces of the loaded crash kernel lie is not known";
    } else {
      facts_.no_command_line = "no piece of the loaded crash kernel starts with boot parameters";
    }
  }

 private:
  // Boot parameters that do not lead on say more than a piece that is not in the dump.
  void Unknown(std::string reason, bool found = true) {
    if (reason_.empty() || (found && !found_)) reason_ = std::move(reason);
    found_ = found_ || found;
  }

  void ReadSegment(const ImageSegment& segment) {
    const uint64_t start = segment.range.first.value();
    uint32_t header = 0;
    ReadStatus status = ReadAt(session_, start + kHeader, header);
    if (!status.ok()) {
      return Unknown(fmt::format("the loaded crash kernel is not in the dump: {:#x} is {}",
                                 status.where.value(), ToString(status.state)),
                     false);
    }
    if (header != kHeaderValue) return;
    uint32_t low = 0;
    uint32_t high = 0;
    status = ReadAt(session_, start + kCmdLinePtr, low);
    if (status.ok()) status = ReadAt(session_, start + kExtCmdLinePtr, high);
    if (!status.ok()) {
      return Unknown(fmt::format("boot parameters at {:#x}: {:#x} is {}", start,
                                 status.where.value(), ToString(status.state)));
    }
    const PhysAddr address(uint64_t{high} << 32 | low);
    if (address.value() == 0) {
      return Unknown(fmt::format("boot parameters at {:#x} name no command line", start));
    }
    bool inside = false;
    for (const ImageSegment& other : image_.segments) inside |= other.range.Contains(address);
    if (!inside) {
      return Unknown(
          fmt::format("boot parameters at {:#x} name a command line at {:#x}, which is no part of "
                      "the loaded crash kernel",
                      start, address.value()));
    }
    Result<std::string> text = ReadText(session_, address);
    if (!text) {
      return Unknown(fmt::format("command line of the loaded crash kernel at {:#x}: {}",
                                 address.value(), text.error().message));
    }
    facts_.command_line.Add(
        *std::move(text), Origin::kKernelObject,
        fmt::format("boot parameters of the loaded crash kernel @ {:#x}", start));
  }

  MemorySession& session_;
  const CrashImage& image_;
  CaptureFacts& facts_;
  std::string reason_;
  bool found_ = false;  // boot parameters
};

void ReadCopyRule(const KernelView& kernel, CaptureFacts& facts) {
  const Result<uint64_t> size = kernel.types.SizeOf("intel_iommu");
  if (!size) {
    facts.copy_rule_from = size.error().message;
    return;
  }
  if (kernel.types.Member("intel_iommu", "copied_tables")) {
    facts.copy_rule = CopyRule::kScalableMode;
    facts.copy_rule_from = "struct intel_iommu has copied_tables";
  } else if (kernel.types.Member("intel_iommu", "flags")) {
    facts.copy_rule = CopyRule::kExtendedMode;
    facts.copy_rule_from = "struct intel_iommu has flags and no copied_tables";
  } else {
    facts.copy_rule = CopyRule::kNeverCopies;
    facts.copy_rule_from = "struct intel_iommu has no flags";
  }
}

void ReadFlag(const KernelView& kernel, std::string_view symbol, Known<bool>& known) {
  if (const Result<uint32_t> value = ReadIntVariable(kernel, symbol)) {
    known.Add(*value != 0, Origin::kKernelObject, fmt::format("{} = {}", symbol, *value));
  }
}

}  // namespace

std::string_view ToString(CopyRule rule) {
  switch (rule) {
    case CopyRule::kUnknown:
      return "unknown";
    case CopyRule::kNeverCopies:
      return "never-copies";
    case CopyRule::kExtendedMode:
      return "extended-mode";
    case CopyRule::kScalableMode:
      return "scalable-mode";
  }
  return "unknown";
}

CaptureFacts ReadCaptureFacts(const KernelView& kernel, MemorySession& session,
                              const std::optional<CrashImage>& image, const Known<bool>& loaded) {
  CaptureFacts facts;
  if (image) {
    ImageCommandLine(session, *image, facts).Read();
  } else if (loaded && !loaded.value()) {
    facts.no_command_line = "no crash kernel was loaded";
  } else {
    facts.no_command_line = "whether a crash kernel was loaded is not known";
  }
  ReadCopyRule(kernel, facts);
  ReadFlag(kernel, "dmar_disabled", facts.driver_off);
  ReadFlag(kernel, "intel_iommu_sm", facts.scalable);
  ReadFlag(kernel, "eim_mode", facts.x2apic);
  // Where dmar_drhd_units is found there are data symbols: a missing variable means a kernel
  // without the mode.
  if (!facts.scalable && kernel.symbols.Has("dmar_drhd_units") &&
      !kernel.symbols.Has("intel_iommu_sm")) {
    facts.scalable.Add(false, Origin::kDerived, "a kernel without intel_iommu_sm");
  }
  return facts;
}

}  // namespace dmaudit
