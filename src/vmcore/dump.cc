// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/dump.h"

#include <algorithm>
#include <utility>

#include "vmcore/container/avml.h"
#include "vmcore/container/elf.h"
#include "vmcore/container/flattened_source.h"
#include "vmcore/container/kdump.h"
#include "vmcore/container/lime.h"
#include "vmcore/container/probe.h"
#include "vmcore/container/raw.h"
#include "vmcore/io/file_source.h"
#include "vmcore/io/memory_source.h"
#include "vmcore/memory/redacted_memory.h"
#include "vmcore/memory/redaction_note.h"

namespace dmaudit {
namespace {

// The bytes of the container itself, out of a flattened stream when they come in one.
struct Unwrapped {
  std::string path;
  std::shared_ptr<const ByteSource> source;
  std::shared_ptr<const ByteSource> file;  // as given
  Container container;
  uint64_t file_size = 0;
  bool flattened = false;
  bool cut = false;
};

// What cannot be opened out of a cut stream: writers complete headers last.
tl::unexpected<Error> OfStream(Error error, bool cut) {
  if (cut) error.message += "; the flattened stream is cut, headers can come last in it";
  return tl::unexpected<Error>(std::move(error));
}

Result<Unwrapped> Unwrap(DumpInput input, DiagnosticSink& sink) {
  Unwrapped file{std::move(input.path), input.source, input.source, Container::kElf};
  file.file_size = file.source->size();
  Result<Container> container = ProbeContainer(*file.source, file.path);
  if (container && *container == Container::kFlattened) {
    Result<std::shared_ptr<const FlattenedSource>> stream =
        FlattenedSource::Open(std::move(file.source), file.path, sink);
    if (!stream) return tl::unexpected(stream.error());
    file.flattened = true;
    file.cut = (*stream)->cut();
    file.source = *std::move(stream);
    container = ProbeContainer(*file.source, file.path);
    if (container && *container == Container::kFlattened) {
      return Fail(ErrorCode::kUnsupported, "{}: a flattened stream inside a flattened stream",
                  file.path);
    }
  }
  if (!container) return OfStream(container.error(), file.cut);
  file.container = *container;
  return file;
}

// Files that make one dump: one, or parts with their headers read.
struct DumpFiles {
  std::vector<Unwrapped> files;
  std::vector<KdumpFile> kdump;  // the same files, empty for other containers
};

Result<std::vector<DumpFiles>> GroupParts(std::vector<DumpInput> inputs, DiagnosticSink& sink) {
  std::vector<DumpFiles> groups;
  for (DumpInput& input : inputs) {
    Result<Unwrapped> file = Unwrap(std::move(input), sink);
    if (!file) return tl::unexpected(file.error());
    if (file->container != Container::kKdump) {
      groups.emplace_back().files.push_back(*std::move(file));
      continue;
    }
    Result<KdumpHeader> header = ReadKdumpHeader(*file->source, file->path, sink);
    if (!header) return OfStream(header.error(), file->cut);
    auto group = std::find_if(groups.begin(), groups.end(), [&header](const DumpFiles& g) {
      return !g.kdump.empty() && SameSplitDump(g.kdump[0].header, *header);
    });
    if (group == groups.end()) group = groups.emplace(group);
    group->kdump.push_back({file->path, file->source, *std::move(header)});
    group->files.push_back(*std::move(file));
  }
  return groups;
}

// A dump that is one file.
Result<Dump> OpenFile(Unwrapped& file, DiagnosticSink& sink) {
  switch (file.container) {
    case Container::kElf:
      return OpenElf(std::move(file.source), file.path, sink);
    case Container::kLime:
      return OpenLime(std::move(file.source), file.path, sink);
    case Container::kAvml:
      return OpenAvml(std::move(file.source), file.path, sink);
    case Container::kKdump:
    case Container::kFlattened:
      break;
  }
  return Fail(ErrorCode::kUnsupported, "{}: no reader for this container", file.path);
}

Result<Dump> OpenFiles(DumpFiles group, DiagnosticSink& sink) {
  Result<Dump> dump = group.kdump.empty() ? OpenFile(group.files[0], sink)
                                          : OpenKdumpFiles(std::move(group.kdump), sink);
  const auto is_cut = [](const Unwrapped& file) { return file.cut; };
  if (!dump) return OfStream(dump.error(), std::ranges::any_of(group.files, is_cut));
  bool flattened = false;
  for (const Unwrapped& file : group.files) {
    dump->info.paths.push_back(file.path);
    dump->info.file_size += file.file_size;
    dump->files.push_back(file.file);
    dump->info.incomplete |= file.cut;
    flattened |= file.flattened;
  }
  if (flattened) dump->info.format_detail += ", flattened";
  OverlaidMemory overlaid = OverlayRedaction(std::move(dump->memory), dump->notes,
                                             dump->info.domainname == kDistilledMark, sink);
  dump->memory = std::move(overlaid.memory);
  dump->info.distilled = overlaid.distilled;
  return dump;
}

Result<std::vector<Dump>> OpenRawFiles(std::vector<DumpInput> inputs, PhysAddr base,
                                       DiagnosticSink& sink) {
  std::vector<Dump> dumps;
  for (DumpInput& input : inputs) {
    const uint64_t size = input.source->size();
    Result<Dump> dump = OpenRaw(input.source, input.path, base, sink);
    if (!dump) return tl::unexpected(dump.error());
    dump->info.paths.push_back(std::move(input.path));
    dump->info.file_size = size;
    dump->files.push_back(std::move(input.source));
    dumps.push_back(*std::move(dump));
  }
  return dumps;
}

}  // namespace

uint64_t MaxUnknownPages(const DumpInfo& info) {
  // A page that is not stored takes a bit in each of two bitmaps.
  constexpr uint64_t kPerByte = 4;
  constexpr uint64_t kLeast = uint64_t{1} << 18;  // a GiB of memory
  return info.file_size < UINT64_MAX / 16 ? kLeast + info.file_size * kPerByte : UINT64_MAX;
}

Status CheckDumpStart(std::span<const std::byte> start, const std::string& path,
                      const OpenOptions& options) {
  if (options.raw_base) return {};
  const Result<Container> container =
      ProbeContainer(MemorySource({start.begin(), start.end()}), path);
  if (!container) return tl::unexpected<Error>(container.error());
  return {};
}

Result<std::vector<Dump>> OpenInputs(std::vector<DumpInput> inputs, DiagnosticSink& sink,
                                     const OpenOptions& options) {
  if (options.raw_base) return OpenRawFiles(std::move(inputs), *options.raw_base, sink);
  Result<std::vector<DumpFiles>> groups = GroupParts(std::move(inputs), sink);
  if (!groups) return tl::unexpected(groups.error());
  std::vector<Dump> dumps;
  for (DumpFiles& group : *groups) {
    Result<Dump> dump = OpenFiles(std::move(group), sink);
    if (!dump) return tl::unexpected(dump.error());
    dumps.push_back(*std::move(dump));
  }
  return dumps;
}

Result<std::vector<Dump>> OpenDumps(const std::vector<std::string>& paths, DiagnosticSink& sink,
                                    const OpenOptions& options) {
  std::vector<DumpInput> inputs;
  for (const std::string& path : paths) {
    Result<std::unique_ptr<FileSource>> source = FileSource::Open(path);
    if (!source) return tl::unexpected(source.error());
    inputs.push_back({path, *std::move(source)});
  }
  return OpenInputs(std::move(inputs), sink, options);
}

Result<Dump> OpenDump(std::shared_ptr<const ByteSource> source, const std::string& path,
                      DiagnosticSink& sink, const OpenOptions& options) {
  std::vector<DumpInput> inputs;
  inputs.push_back({path, std::move(source)});
  Result<std::vector<Dump>> dumps = OpenInputs(std::move(inputs), sink, options);
  if (!dumps) return tl::unexpected(dumps.error());
  return std::move(dumps->front());
}

void ReportReadFaults(const Dump& dump, DiagnosticSink& sink) {
  DiagnosticSink found;
  for (const auto& file : dump.files) file->ReportFaults(found);
  dump.memory->ReportFaults(found);
  std::vector<const Diagnostic*> unsaid;
  for (const Diagnostic& fault : found.diagnostics()) {
    if (!sink.incomplete(fault.id)) unsaid.push_back(&fault);
  }
  for (const Diagnostic* fault : unsaid) sink.Report(fault->id, fault->effect, fault->message);
}

bool HasReadFaults(const Dump& dump) {
  DiagnosticSink found;
  ReportReadFaults(dump, found);
  return found.incomplete();
}

}  // namespace dmaudit
