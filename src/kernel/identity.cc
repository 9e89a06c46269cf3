// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/identity.h"

#include <optional>
#include <string>
#include <string_view>

#include "base/number.h"
#include "kernel/type_view.h"

namespace dmaudit {
namespace {

// struct new_utsname is user-space interface: six strings of 65 bytes (sysname, nodename, release,
// version, machine, domainname).
constexpr uint64_t kUtsField = 65;
constexpr uint64_t kUtsRelease = 2;
constexpr uint64_t kUtsVersion = 3;
// COMMAND_LINE_SIZE on x86 is 2048.
constexpr size_t kMaxCommandLine = 4096;
// A SHA-1 or longer in hex.
constexpr size_t kMaxBuildId = 128;

class IdentityReader {
 public:
  IdentityReader(const KernelView& kernel, const Vmcoreinfo& vmcoreinfo, const DumpInfo& info,
                 KernelIdentity& identity)
      : kernel_(kernel), vmcoreinfo_(vmcoreinfo), info_(info), identity_(identity) {}

  void Read() {
    if (const auto release = vmcoreinfo_.Get("OSRELEASE")) {
      identity_.release.Add(std::string(*release), Origin::kVmcoreinfo, "OSRELEASE");
    }
    ReadUtsname();
    if (!info_.release.empty()) {
      identity_.release.Add(info_.release, Origin::kContainer, "utsname of the dump header");
    }
    if (!info_.version.empty()) {
      identity_.version.Add(info_.version, Origin::kContainer, "utsname of the dump header");
    }
    if (const auto build_id = vmcoreinfo_.Get("BUILD-ID"); build_id && IsHex(*build_id)) {
      identity_.build_id.Add(std::string(*build_id), Origin::kVmcoreinfo, "BUILD-ID");
    }
    if (const auto crash_time = vmcoreinfo_.Get("CRASHTIME")) {
      identity_.crash_time = ParseDecimal(*crash_time);
    }
    ReadCommandLine();
    if (kernel_.log.panic) identity_.panic_line = kernel_.log.panic->text;
    if (identity_.release.disagrees()) {
      const auto& claims = identity_.release.claims();
      kernel_.sink.Note("kernel.disagree", "release is '{}' by {}, but '{}' by {}",
                        claims.front().value, claims.front().place, claims.back().value,
                        claims.back().place);
    }
  }

 private:
  // Several stable kernels wrote garbage here.
  static bool IsHex(std::string_view text) {
    return !text.empty() && text.size() <= kMaxBuildId &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  }

  // VMCOREINFO does not say it before 5.11 (kernel commit ca4a9241cc5e), the kernel's types do.
  std::optional<KernelVa> Utsname() const {
    const std::optional<KernelVa> uts = vmcoreinfo_.Symbol("init_uts_ns");
    if (!uts) return std::nullopt;
    if (const auto offset = vmcoreinfo_.Offset("uts_namespace.name")) return uts->Plus(*offset);
    const Result<StructView> names =
        StructView(kernel_.reader, kernel_.types, *uts, "uts_namespace").Struct("name");
    if (!names || names->type() != "new_utsname") return std::nullopt;
    return names->address();
  }

  void ReadUtsname() {
    const std::optional<KernelVa> names = Utsname();
    if (!names) return;
    const auto read = [&](std::string_view field, uint64_t number, Known<std::string>& known) {
      const std::optional<KernelVa> at = names->Plus(number * kUtsField);
      if (!at) return;
      const Result<std::string> text = kernel_.reader.ReadString(*at, kUtsField);
      if (text) {
        known.Add(*text, Origin::kKernelObject, fmt::format("init_uts_ns.name.{}", field));
      } else {
        ReportFailure(kernel_.sink, Effect::kNote, "init_uts_ns", text.error());
      }
    };
    read("release", kUtsRelease, identity_.release);
    read("version", kUtsVersion, identity_.version);
  }

  void ReadCommandLine() {
    const Result<KernelVa> address = kernel_.symbols.Find("saved_command_line");
    if (address) {
      const Result<uint64_t> text_at = kernel_.reader.ReadU64(*address);
      const Result<std::string> text =
          text_at ? kernel_.reader.ReadString(KernelVa(*text_at), kMaxCommandLine)
                  : Result<std::string>(tl::unexpected<Error>(text_at.error()));
      if (text) {
        identity_.command_line.Add(*text, Origin::kKernelObject, "saved_command_line");
      } else {
        ReportFailure(kernel_.sink, Effect::kNote, "saved_command_line", text.error());
      }
    }
    if (kernel_.log.command_line) {
      identity_.command_line.Add(kernel_.log.command_line->text, Origin::kLog,
                                 ToString(kernel_.log.command_line->line));
    }
  }

  const KernelView& kernel_;
  const Vmcoreinfo& vmcoreinfo_;
  const DumpInfo& info_;
  KernelIdentity& identity_;
};

}  // namespace

void ReadIdentity(const KernelView& kernel, const Vmcoreinfo& vmcoreinfo, const DumpInfo& info,
                  KernelIdentity& identity) {
  IdentityReader(kernel, vmcoreinfo, info, identity).Read();
}

}  // namespace dmaudit
