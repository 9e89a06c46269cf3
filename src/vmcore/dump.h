// SPDX-License-Identifier: GPL-2.0-or-later
// Opening dumps: files in, physical memory with a state for every byte out. Knows containers, not
// kernels.
#ifndef DMAUDIT_VMCORE_DUMP_H_
#define DMAUDIT_VMCORE_DUMP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/diagnostics.h"
#include "base/result.h"
#include "vmcore/io/byte_source.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

// An ELF-style note as the container holds it. `name` without its terminating NUL; both may be
// hostile.
struct DumpNote {
  std::string name;
  uint32_t type = 0;
  std::vector<std::byte> descriptor;
};

// What the headers say, for `info`, for the report's `input`, and for discovery of the kernel.
struct DumpInfo {
  std::vector<std::string> paths;  // as given
  std::string format;              // "ELF", "kdump-compressed", ...
  std::string format_detail;       // "header version 6", "QEMU dump-guest-memory", ...
  std::string
      compression;      // what the header announces: "zlib", "none", ...; empty when not applicable
  std::string machine;  // "x86_64", ...
  uint64_t file_size = 0;
  bool incomplete = false;  // the container says so itself, or its file is cut
  bool distilled = false;   // written by `dmaudit distill`
  // utsname of the kdump header (empty where the container has none).
  std::string release, version, nodename, domainname;
  // What the filter left out, as makedumpfile -d counts; nothing where the container does not say.
  std::optional<uint32_t> dump_level;
  // Segments of an ELF dump that state a kernel virtual address, as (virtual, physical range).
  struct VirtualSegment {
    uint64_t virtual_address;
    PhysRange range;
  };
  std::vector<VirtualSegment> virtual_segments;
  // For the cross-check of the reservation: what of the low memory the container describes as RAM
  // with gaps comes from PhysicalMemory::VisitRam.
};

// How many lost, damaged or otherwise unknown pages are taken one by one: an ELF header of 100
// bytes can claim 2^50. As many as a page bitmap of the file's own size could stand for, and room
// for any small file.
uint64_t MaxUnknownPages(const DumpInfo& info);

struct Dump {
  DumpInfo info;
  std::vector<DumpNote> notes;
  std::unique_ptr<const PhysicalMemory> memory;
  std::vector<std::shared_ptr<const ByteSource>> files;  // that it is read from
};

struct OpenOptions {
  // Take the files as bare memory from this address on, whatever their content looks like.
  std::optional<PhysAddr> raw_base = std::nullopt;
};

// Bytes to be opened as a dump or as a part of one; `path` names them in messages.
struct DumpInput {
  std::string path;
  std::shared_ptr<const ByteSource> source;
};

// Refuses, as OpenInputs does, what the first bytes of an input already show to be no dump. `start`
// is the first 8 KiB, or all that there is.
Status CheckDumpStart(std::span<const std::byte> start, const std::string& path,
                      const OpenOptions& options);

// Groups the parts of split dumps by content, and gives the dumps in the order of their first part.
// Damage that still lets pages be read is a diagnostic (kIncomplete when pages are affected), so is
// a part that is missing or given twice; otherwise the error names the file and the place. Never
// reads more than headers and page directories.
Result<std::vector<Dump>> OpenInputs(std::vector<DumpInput> inputs, DiagnosticSink& sink,
                                     const OpenOptions& options = {});

// The same with files and block devices.
Result<std::vector<Dump>> OpenDumps(const std::vector<std::string>& paths, DiagnosticSink& sink,
                                    const OpenOptions& options = {});

// The same for one dump that is already at hand; `path` names it in messages.
Result<Dump> OpenDump(std::shared_ptr<const ByteSource> source, const std::string& path,
                      DiagnosticSink& sink, const OpenOptions& options = {});

// Says why reads of the dump's files failed or came short since they were opened, if any did, and
// what the pages that were read showed of the dump, as gaps. Asked when the reading is done; what
// `sink` has of it already stays as it is.
void ReportReadFaults(const Dump& dump, DiagnosticSink& sink);
// Whether there is anything that it says.
bool HasReadFaults(const Dump& dump);

// The page compressors of this build: "raw zlib lzo snappy zstd".
std::string_view SupportedCodecs();

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_DUMP_H_
