// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/find_kernel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "kernel/cpu_notes.h"
#include "kernel/vmcoreinfo_search.h"

namespace dmaudit {
namespace {

// Memory searched for texts: what pages of a file can hold that are no emptier than those with a
// text in them.
constexpr uint64_t kLeastSearched = uint64_t{32} << 20;
constexpr uint64_t kSearchedPerFileByte = 16;

using Kind = WhichKernel::Kind;

Result<Vmcoreinfo> NoteOf(const Dump& dump, DiagnosticSink& sink) {
  const DumpNote* found = nullptr;
  for (const DumpNote& note : dump.notes) {
    if (note.name != "VMCOREINFO") continue;
    if (found == nullptr) {
      found = &note;
    } else if (note.descriptor != found->descriptor) {
      sink.Incomplete("kernel.vmcoreinfo",
                      "the dump has several VMCOREINFO notes that differ: the first one is used, "
                      "the kernel of another is not looked at");
    }
  }
  if (found == nullptr) return Fail(ErrorCode::kNotFound, "no VMCOREINFO note");
  return Vmcoreinfo::Parse(AsText(found->descriptor), sink);
}

class Finder {
 public:
  Finder(const Dump& dump, MemorySession& session, DiagnosticSink& sink)
      : dump_(dump), session_(session), sink_(sink) {}

  Result<KernelChoice> Find(const std::optional<WhichKernel>& which) {
    if (which && which->kind == Kind::kAddress) return At(which->address);
    wished_ = which.has_value();
    Result<FoundKernel> note = OfNote();
    if (note && (!which || (which->kind == Kind::kCrashed && note->crashed))) {
      return KernelChoice{*std::move(note), {}};
    }
    if (note) kernels_.push_back(*std::move(note));
    Search();
    if (kernels_.empty()) return tl::unexpected<Error>(NothingFound(note.error()));
    Result<KernelChoice> choice =
        which && which->kind == Kind::kCapture ? ChooseCapture() : ChooseCrashed();
    if (choice && !note) {
      sink_.Note("kernel.vmcoreinfo-search", "{}: the text found in memory at {:#x} is used",
                 note.error().message, choice->kernel.text->value());
    }
    return choice;
  }

 private:
  Result<FoundKernel> OfNote() {
    Result<Vmcoreinfo> info = NoteOf(dump_, sink_);
    if (!info) return tl::unexpected<Error>(info.error());
    return Prove(*std::move(info), std::nullopt);
  }

  Result<FoundKernel> Prove(Vmcoreinfo info, std::optional<PhysAddr> text) {
    Result<KernelTables> tables = LocateKernelTables(info, dump_, session_);
    if (!tables) return tl::unexpected<Error>(tables.error());
    const bool crashed = info.Get("CRASHTIME").has_value();
    return FoundKernel{std::move(info), *std::move(tables), text, crashed};
  }

  Result<KernelChoice> At(PhysAddr address) {
    Result<FoundVmcoreinfo> text = ReadVmcoreinfo(session_, address);
    if (!text) return tl::unexpected<Error>(text.error());
    Result<FoundKernel> kernel = Prove(std::move(text->vmcoreinfo), address);
    if (!kernel) {
      return Within(fmt::format("VMCOREINFO text at {:#x}", address.value()), kernel.error());
    }
    return KernelChoice{*std::move(kernel), {}};
  }

  // Adds every kernel of which a text is in memory, each once.
  void Search() {
    const uint64_t most =
        kLeastSearched + kSearchedPerFileByte * std::min(dump_.info.file_size, uint64_t{1} << 50);
    VmcoreinfoSearchResult found = SearchVmcoreinfo(session_, most);
    searched_ = found.bytes_searched;
    if (found.cut_off) {
      sink_.Incomplete("kernel.vmcoreinfo-search",
                       "memory was searched for VMCOREINFO in part only ({} bytes): there may be "
                       "another kernel in the dump",
                       searched_);
    }
    uint64_t trials = 0;
    for (FoundVmcoreinfo& text : found.texts) {
      // Without its place given, a kernel is looked for everywhere: not for every copy of a text.
      if (!text.vmcoreinfo.Number("phys_base") && ++trials > kMaxWideTrials) continue;
      Result<FoundKernel> kernel = Prove(std::move(text.vmcoreinfo), text.at);
      if (kernel) {
        Add(*std::move(kernel));
      } else if (!misfit_) {
        misfit_ = Misfit{text.at, kernel.error().message};
      }
    }
  }

  // A kernel leaves several copies; the one with CRASHTIME is the last written.
  void Add(FoundKernel kernel) {
    for (FoundKernel& known : kernels_) {
      if (known.tables.root.table != kernel.tables.root.table) continue;
      if (kernel.crashed && !known.crashed) {
        if (known.text) known = std::move(kernel);
        known.crashed = true;
      }
      return;
    }
    kernels_.push_back(std::move(kernel));
  }

  Error NothingFound(const Error& note) const {
    if (!misfit_) {
      return {note.code,
              fmt::format(
                  "no kernel found: {}, and no VMCOREINFO text in the {} bytes of memory searched",
                  note.message, searched_)};
    }
    if (misfit_->why == note.message) {
      return {ErrorCode::kMalformed, fmt::format("no kernel found: neither the VMCOREINFO note nor "
                                                 "the text in memory at {:#x} fits: {}",
                                                 misfit_->at.value(), misfit_->why)};
    }
    return {ErrorCode::kMalformed,
            fmt::format(
                "no kernel found: {}, and the VMCOREINFO text in memory at {:#x} does not fit: {}",
                note.message, misfit_->at.value(), misfit_->why)};
  }

  Result<KernelChoice> ChooseCrashed() {
    if (kernels_.size() == 1) return Choose(0);
    std::vector<size_t> those = Those([](const FoundKernel& k) { return k.crashed; });
    if (those.empty() && !wished_) {
      those = Those([](const FoundKernel& k) { return !k.tables.cpus_of_this.empty(); });
    }
    if (those.size() == 1) return Choose(those[0]);
    return Undecided("which of several kernels crashed cannot be told");
  }

  Result<KernelChoice> ChooseCapture() {
    const bool any_crashed = std::any_of(kernels_.begin(), kernels_.end(),
                                         [](const FoundKernel& k) { return k.crashed; });
    // Nothing tells two kernels apart of which none crashed and none has a note.
    const bool any_noted =
        std::any_of(kernels_.begin(), kernels_.end(), [](const FoundKernel& k) { return !k.text; });
    const auto may_be = [&](const FoundKernel& k) {
      return !k.crashed && (any_crashed || (any_noted && k.text));
    };
    if (kernels_.size() == 1) return Undecided("no second kernel was found");
    std::vector<size_t> those = Those(may_be);
    if (those.size() > 1) {
      those =
          Those([&](const FoundKernel& k) { return may_be(k) && !k.tables.cpus_of_this.empty(); });
    }
    if (those.size() == 1) return Choose(those[0]);
    return Undecided("which of several kernels is the capture kernel cannot be told");
  }

  template <typename Condition>
  std::vector<size_t> Those(const Condition& condition) const {
    std::vector<size_t> those;
    for (size_t i = 0; i < kernels_.size(); ++i) {
      if (condition(kernels_[i])) those.push_back(i);
    }
    return those;
  }

  KernelChoice Choose(size_t index) {
    KernelChoice choice{std::move(kernels_[index]), {}};
    kernels_.erase(kernels_.begin() + static_cast<std::ptrdiff_t>(index));
    choice.others = std::move(kernels_);
    return choice;
  }

  tl::unexpected<Error> Undecided(std::string_view why) const {
    std::string list;
    for (const FoundKernel& kernel : kernels_) {
      list += (list.empty() ? "" : "; ") + Describe(kernel);
    }
    return Fail(wished_ ? ErrorCode::kUsage : ErrorCode::kNotFound,
                "{}: {} (--which takes the address of a VMCOREINFO text)", why, list);
  }

  // Texts without NUMBER(phys_base) for which all of memory is tried.
  static constexpr uint64_t kMaxWideTrials = 4;

  const Dump& dump_;
  MemorySession& session_;
  DiagnosticSink& sink_;
  std::vector<FoundKernel> kernels_;  // that of the note first
  bool wished_ = false;               // the user says which one
  uint64_t searched_ = 0;
  struct Misfit {
    PhysAddr at;
    std::string why;
  };
  std::optional<Misfit> misfit_;  // the first text that was turned down
};

void ReportOthers(const Dump& dump, const KernelChoice& choice, DiagnosticSink& sink) {
  const std::vector<CpuRegisters> cpus = ReadCpuNotes(dump.notes);
  for (const size_t cpu : choice.kernel.tables.cpus_of_other) {
    sink.Note("kernel.two-kernels",
              "CPU {}: the page tables at CR3 {:#x} belong to another kernel than the one "
              "VMCOREINFO describes",
              cpu, cpus[cpu].cr3);
  }
  for (const FoundKernel& other : choice.others) {
    sink.Note("kernel.two-kernels", "another kernel is in the dump: {}", Describe(other));
  }
}

}  // namespace

std::string Describe(const FoundKernel& kernel) {
  const std::string_view release = kernel.vmcoreinfo.Get("OSRELEASE").value_or("kernel");
  std::string out = fmt::format("{}, VMCOREINFO ", release.substr(0, 64));
  out += kernel.text ? fmt::format("in memory at {:#x}", kernel.text->value()) : "in a note";
  out += fmt::format(", page table at {:#x}", kernel.tables.root.table.value());
  if (kernel.crashed) out += ", crashed";
  const std::vector<size_t>& cpus = kernel.tables.cpus_of_this;
  if (!cpus.empty()) out += fmt::format(", runs on CPU {}", fmt::join(cpus, ", "));
  return out;
}

Result<KernelChoice> FindKernel(const Dump& dump, MemorySession& session,
                                const std::optional<WhichKernel>& which, DiagnosticSink& sink) {
  if (!dump.info.machine.empty() && dump.info.machine != "x86_64") {
    return Fail(ErrorCode::kUnsupported, "the dump is of machine '{}', only x86_64 is read",
                dump.info.machine);
  }
  Result<KernelChoice> choice = Finder(dump, session, sink).Find(which);
  if (choice) ReportOthers(dump, *choice, sink);
  return choice;
}

}  // namespace dmaudit
