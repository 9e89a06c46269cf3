// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/vmlinux.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <system_error>
#include <utility>

#include "base/number.h"
#include "kernel/debuginfod.h"
#include "kernel/dwarf_types.h"
#include "kernel/image_layout.h"
#include "kernel/kallsyms.h"
#include "kernel/vmlinux_reader.h"

namespace dmaudit {
namespace {

constexpr size_t kMaxBanner = 256;
// A shorter number is garbage that happens to be hexadecimal (some stable kernels wrote such).
constexpr size_t kMinBuildId = 32;
constexpr size_t kMaxRelease = 64;

bool IsBuildId(std::string_view text) {
  return text.size() >= kMinBuildId &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Link addresses of names that are there once.
std::map<std::string_view, uint64_t> Unique(const DebuginfoTable& table) {
  std::map<std::string_view, uint64_t> addresses;
  std::map<std::string_view, size_t> counts;
  for (const auto& symbol : table.symbols) {
    addresses[symbol.name] = symbol.address;
    ++counts[symbol.name];
  }
  std::erase_if(addresses, [&](const auto& entry) { return counts[entry.first] > 1; });
  return addresses;
}

// False when VMCOREINFO does not tell.
bool ReadKernelOffset(const Vmcoreinfo& vmcoreinfo, uint64_t& offset) {
  const std::optional<std::string_view> text = vmcoreinfo.Get("KERNELOFFSET");
  if (!text) return false;
  const std::optional<uint64_t> value = ParseHex(*text);
  if (value) offset = *value;
  return value.has_value();
}

// Sets offset or mismatch.
void FitAddress(const std::map<std::string_view, uint64_t>& linked, const Vmcoreinfo& vmcoreinfo,
                VmlinuxFit& fit) {
  uint64_t announced = 0;
  const bool has_offset = ReadKernelOffset(vmcoreinfo, announced);
  const std::optional<KernelVa> stext = vmcoreinfo.Symbol("_stext");
  const auto own = linked.find("_stext");
  if (stext && own != linked.end()) {
    fit.offset = stext->value() - own->second;
    if (has_offset && announced != fit.offset) {
      fit.mismatch = fmt::format(
          "_stext is linked at {:#x} and lies at {:#x} in the dump, but "
          "KERNELOFFSET is {:#x}",
          own->second, stext->value(), announced);
    }
  } else if (has_offset) {
    fit.offset = announced;
  } else {
    fit.mismatch =
        "where the kernel ran cannot be told: neither KERNELOFFSET nor _stext on both "
        "sides";
  }
}

}  // namespace

VmlinuxFit FitVmlinux(const DebuginfoTable& table, const Vmcoreinfo& vmcoreinfo,
                      KernelReader& reader) {
  VmlinuxFit fit;
  const auto linked = Unique(table);
  FitAddress(linked, vmcoreinfo, fit);
  const std::string_view dumped = vmcoreinfo.Get("BUILD-ID").value_or("");
  if (IsBuildId(dumped) && IsBuildId(table.build_id)) {
    if (dumped != table.build_id) {
      fit.mismatch = fmt::format("its build id is {}, that of the kernel in the dump {}",
                                 table.build_id, dumped);
    }
    return fit;
  }
  size_t agreeing = 0;
  for (const std::string_view anchor : kKallsymsAnchors) {
    const auto own = linked.find(anchor);
    const std::optional<KernelVa> expected = AnchorAddress(vmcoreinfo, anchor);
    if (own == linked.end() || !expected || anchor == kKallsymsAnchors[0]) continue;
    if (own->second + fit.offset != expected->value() && fit.mismatch.empty()) {
      fit.mismatch = fmt::format("{} would lie at {:#x}, but is {:#x} in the dump", anchor,
                                 own->second + fit.offset, expected->value());
    }
    ++agreeing;
  }
  const std::optional<std::string_view> release = vmcoreinfo.Get("OSRELEASE");
  const auto banner = linked.find("linux_banner");
  bool same_release = false;
  if (release && banner != linked.end()) {
    const Result<std::string> text =
        reader.ReadString(KernelVa(banner->second + fit.offset), kMaxBanner);
    if (text) {
      same_release = text->starts_with(fmt::format("Linux version {} ", *release));
      if (!same_release && fit.mismatch.empty()) {
        fit.mismatch = "the dump has no banner of its kernel where this vmlinux has linux_banner";
      }
    }
  }
  if (!fit.mismatch.empty()) return fit;
  if (agreeing == 0 && !same_release) {
    fit.mismatch =
        "nothing tells whether it is of the kernel in the dump (no build id on both "
        "sides, no symbol that VMCOREINFO has, no banner)";
    return fit;
  }
  fit.doubt =
      fmt::format("build ids cannot be compared; {} address{} of VMCOREINFO{} agree{}", agreeing,
                  agreeing == 1 ? "" : "es", same_release ? " and the release" : "",
                  agreeing + (same_release ? 1 : 0) == 1 ? "s" : "");
  return fit;
}

std::vector<std::string> UsualVmlinuxPlaces(std::string_view release, std::string_view build_id) {
  std::vector<std::string> places;
  // The release comes from the dump: a name, never a path.
  const bool plain = !release.empty() && release.size() <= kMaxRelease && release[0] != '.' &&
                     release.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789.-_+~") == std::string_view::npos;
  if (plain) {
    for (const std::string_view form :
         {"/usr/lib/debug/boot/vmlinux-{}", "/usr/lib/debug/lib/modules/{}/vmlinux",
          "/usr/lib/debug/boot/vmlinux-{}.debug", "/usr/lib/debug/usr/lib/modules/{}/vmlinux",
          "/usr/lib/debug/usr/lib/modules/{}/vmlinux.debug",
          "/usr/lib/debug/lib/modules/{}/vmlinux.debug", "/lib/modules/{}/build/vmlinux",
          "/lib/modules/{}/vmlinux", "/boot/vmlinux-{}"}) {
      places.push_back(fmt::format(fmt::runtime(form), release));
    }
  }
  if (IsBuildId(build_id)) {
    places.push_back(fmt::format("/usr/lib/debug/.build-id/{}/{}.debug", build_id.substr(0, 2),
                                 build_id.substr(2)));
  }
  return places;
}

Vmlinux::Vmlinux(const DiscoveryOptions& options, const Vmcoreinfo& vmcoreinfo,
                 KernelReader& reader, std::span<const std::string_view> symbols,
                 std::span<const std::string_view> structures, DiagnosticSink& sink)
    : options_(options),
      vmcoreinfo_(vmcoreinfo),
      reader_(reader),
      symbols_(symbols.begin(), symbols.end()),
      structures_(structures.begin(), structures.end()),
      sink_(sink) {
  symbols_.insert(symbols_.end(), kKallsymsAnchors.begin(), kKallsymsAnchors.end());
  symbols_.push_back("linux_banner");
}

Result<DebuginfoTable> Vmlinux::Read(const std::string& path) const {
  Result<DebuginfoTable> table = ReadVmlinux(path, symbols_, structures_);
  if (!table || !options_.debuginfod || !IsBuildId(table->supplement)) return table;
  const Result<std::string> supplement = AskDebuginfod(table->supplement);
  if (supplement) return ReadVmlinux(path, symbols_, structures_, *supplement);
  table->no_types += "; " + supplement.error().message;
  return table;
}

bool Vmlinux::Take(const std::string& path) {
  Result<DebuginfoTable> table = Read(path);
  if (!table) {
    failure_ = table.error().message;
    return false;
  }
  fit_ = FitVmlinux(*table, vmcoreinfo_, reader_);
  if (!fit_.mismatch.empty()) {
    failure_ = fmt::format("{} is of another kernel: {}", path, fit_.mismatch);
    if (!options_.force_vmlinux || !given()) {
      refused_ = failure_ + " (--force-vmlinux uses it all the same)";
      return false;
    }
    sink_.Incomplete("kernel.vmlinux", "{}; used all the same (--force-vmlinux)", failure_);
  } else if (!fit_.doubt.empty()) {
    sink_.Note("kernel.vmlinux", "{}: {}", path, fit_.doubt);
  }
  path_ = path;
  table_ = *std::move(table);
  return true;
}

void Vmlinux::Load() {
  if (loaded_) return;
  loaded_ = true;
  if (given()) {
    // A name that was mistyped is not a kernel without symbols.
    if (access(options_.vmlinux.c_str(), R_OK) != 0) {
      failure_ = refused_ =
          fmt::format("--vmlinux {}: {}", options_.vmlinux, std::generic_category().message(errno));
      return;
    }
    (void)Take(options_.vmlinux);
    return;
  }
  const std::string_view build_id = vmcoreinfo_.Get("BUILD-ID").value_or("");
  failure_ = "no vmlinux at the usual places (--vmlinux FILE gives one)";
  for (const std::string& path :
       UsualVmlinuxPlaces(vmcoreinfo_.Get("OSRELEASE").value_or(""), build_id)) {
    if (access(path.c_str(), R_OK) == 0 && Take(path)) return;
  }
  if (!options_.debuginfod) return;
  const Result<std::string> fetched =
      IsBuildId(build_id) ? AskDebuginfod(build_id)
                          : Fail(ErrorCode::kNotFound, "debuginfod: the dump has no build id");
  if (!fetched) {
    failure_ += "; " + fetched.error().message;
  } else {
    (void)Take(*fetched);
  }
}

Status Vmlinux::Check() {
  Load();
  if (refused_.empty()) return {};
  return Fail(ErrorCode::kUsage, "{}", refused_);
}

Result<SymbolTable> Vmlinux::Symbols() {
  Load();
  if (!table_) return Fail(ErrorCode::kNotFound, "{}", failure_);
  if (!table_->no_symbols.empty()) return Fail(ErrorCode::kNotFound, "{}", table_->no_symbols);
  SymbolTable symbols(fmt::format("symbol table of {}", path_));
  for (const auto& symbol : table_->symbols) {
    // Below are per-CPU offsets and absolute values, which do not move.
    const uint64_t moved = symbol.address >= kImageBase ? fit_.offset : 0;
    symbols.Add(symbol.name, KernelVa(symbol.address + moved));
  }
  return symbols;
}

Result<std::unique_ptr<const TypeSource>> Vmlinux::Types() {
  Load();
  if (!table_) return Fail(ErrorCode::kNotFound, "{}", failure_);
  if (!table_->no_types.empty()) return Fail(ErrorCode::kNotFound, "{}", table_->no_types);
  return std::make_unique<const DwarfTypes>(
      *table_, fmt::format("DWARF ({})", table_->types_file.empty() ? path_ : table_->types_file));
}

}  // namespace dmaudit
