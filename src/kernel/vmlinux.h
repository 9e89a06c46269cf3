// SPDX-License-Identifier: GPL-2.0-or-later
// The vmlinux of the kernel in a dump: given by the user, at a usual place, or from a debuginfod
// server; proven to be of that kernel, and moved to where the kernel ran.
#ifndef DMAUDIT_KERNEL_VMLINUX_H_
#define DMAUDIT_KERNEL_VMLINUX_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostics.h"
#include "base/result.h"
#include "kernel/debuginfo_table.h"
#include "kernel/discovery_options.h"
#include "kernel/kernel_reader.h"
#include "kernel/symbols.h"
#include "kernel/types.h"
#include "kernel/vmcoreinfo.h"

namespace dmaudit {

// How a vmlinux fits the kernel of a dump.
struct VmlinuxFit {
  uint64_t offset = 0;   // run address minus link address of the image (KASLR)
  std::string mismatch;  // not empty: it is of another kernel, and why
  std::string doubt;     // not empty: what could not be compared
};

// Compares build ids, KERNELOFFSET, the symbols that VMCOREINFO has too, and where build ids
// cannot be compared the release in linux_banner.
VmlinuxFit FitVmlinux(const DebuginfoTable& table, const Vmcoreinfo& vmcoreinfo,
                      KernelReader& reader);

// Where distributions put the vmlinux, or the debug file, of a kernel. Nothing for a release that
// could lead elsewhere.
std::vector<std::string> UsualVmlinuxPlaces(std::string_view release, std::string_view build_id);

class Vmlinux {
 public:
  // All outlive this object. `symbols` and `structures` are what is looked for.
  Vmlinux(const DiscoveryOptions& options, const Vmcoreinfo& vmcoreinfo, KernelReader& reader,
          std::span<const std::string_view> symbols, std::span<const std::string_view> structures,
          DiagnosticSink& sink);

  // Whether the user named one: it then goes before what the dump itself holds.
  bool given() const { return !options_.vmlinux.empty(); }
  // Reads the given file. The error (kUsage) is that it is of another kernel and not forced; all
  // else that is wrong with it comes as the errors of Symbols and Types.
  Status Check();

  // Each reads the file first when that has not been done.
  Result<SymbolTable> Symbols();
  Result<std::unique_ptr<const TypeSource>> Types();

 private:
  void Load();
  // With the supplementary file from a server, where it is needed and the user wants that.
  Result<DebuginfoTable> Read(const std::string& path) const;
  // False when the file cannot be used; `failure_` says why.
  bool Take(const std::string& path);

  const DiscoveryOptions& options_;
  const Vmcoreinfo& vmcoreinfo_;
  KernelReader& reader_;
  std::vector<std::string_view> symbols_, structures_;
  DiagnosticSink& sink_;
  bool loaded_ = false;
  std::string path_;
  std::optional<DebuginfoTable> table_;
  VmlinuxFit fit_;
  std::string failure_;
  std::string refused_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_VMLINUX_H_
