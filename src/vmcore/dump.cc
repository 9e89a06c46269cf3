// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/dump.h"

#include "vmcore/container/elf.h"
#include "vmcore/container/kdump.h"
#include "vmcore/container/probe.h"
#include "vmcore/io/file_source.h"
#include "vmcore/memory/redacted_memory.h"
#include "vmcore/memory/redaction_note.h"

namespace dmaudit {
namespace {

Result<Dump> OpenContainer(std::shared_ptr<const ByteSource> source, const std::string& path,
                           DiagnosticSink& sink) {
  const Result<Container> container = ProbeContainer(*source, path);
  if (!container) return tl::unexpected(container.error());
  switch (*container) {
    case Container::kElf:
      return OpenElf(std::move(source), path, sink);
    case Container::kKdump:
      return OpenKdump(std::move(source), path, sink);
  }
  return Fail(ErrorCode::kUnsupported, "{}: no reader for this container", path);
}

}  // namespace

Result<Dump> OpenDump(std::shared_ptr<const ByteSource> source, const std::string& path,
                      DiagnosticSink& sink) {
  const uint64_t size = source->size();
  Result<Dump> dump = OpenContainer(std::move(source), path, sink);
  if (!dump) return dump;
  dump->info.paths = {path};
  dump->info.file_size = size;
  OverlaidMemory overlaid = OverlayRedaction(std::move(dump->memory), dump->notes,
                                             dump->info.domainname == kDistilledMark, sink);
  dump->memory = std::move(overlaid.memory);
  dump->info.distilled = overlaid.distilled;
  return dump;
}

Result<std::vector<Dump>> OpenDumps(const std::vector<std::string>& paths, DiagnosticSink& sink) {
  std::vector<Dump> dumps;
  for (const std::string& path : paths) {
    Result<std::unique_ptr<FileSource>> source = FileSource::Open(path);
    if (!source) return tl::unexpected(source.error());
    Result<Dump> dump = OpenDump(std::move(*source), path, sink);
    if (!dump) return tl::unexpected(dump.error());
    dumps.push_back(std::move(*dump));
  }
  return dumps;
}

}  // namespace dmaudit
