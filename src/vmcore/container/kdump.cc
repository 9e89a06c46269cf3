// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/kdump.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/number.h"
#include "vmcore/container/kdump_header.h"
#include "vmcore/container/kdump_memory.h"
#include "vmcore/container/notes.h"

namespace dmaudit {
namespace {

// Pages that are all zero share one descriptor target near the start of the data, so the very last
// descriptors need not say how far the file must reach. Looked at in windows from the end, until
// one holds different targets.
constexpr uint64_t kTailWindow = 4096;
// 24 MiB of descriptors: a machine whose last 4 GiB are zero pages. Beyond, a cut shows only when a
// page is read.
constexpr unsigned kMaxTailWindows = 256;

std::string CompressionName(uint32_t status) {
  std::string name;
  const auto add = [&](uint32_t bit, std::string_view codec) {
    if ((status & bit) == 0) return;
    if (!name.empty()) name += "+";
    name += codec;
  };
  add(kKdumpZlib, "zlib");
  add(kKdumpLzo, "lzo");
  add(kKdumpSnappy, "snappy");
  add(kKdumpZstd, "zstd");
  return name.empty() ? "none" : name;
}

// What the last descriptors say about the whole file.
struct Tail {
  uint64_t end = 0;   // highest byte needed, plus one; UINT64_MAX when it leaves 64 bits
  uint64_t lost = 0;  // descriptors without data
};

Result<Tail> ScanTail(const ByteSource& source, FileOffset descriptors, uint64_t count) {
  Tail tail;
  std::vector<std::byte> raw;
  for (unsigned window = 0; window < kMaxTailWindows && count != 0; ++window) {
    const uint64_t size = std::min(count, kTailWindow);
    count -= size;
    raw.resize(static_cast<size_t>(size * KdumpDescriptor::kSize));
    const Result<size_t> got =
        source.ReadAt(FileOffset(descriptors.value() + count * KdumpDescriptor::kSize), raw);
    if (!got) return tl::unexpected(got.error());
    uint64_t lowest = UINT64_MAX;
    uint64_t highest = 0;
    for (size_t at = 0; *got - at >= KdumpDescriptor::kSize; at += KdumpDescriptor::kSize) {
      const KdumpDescriptor descriptor =
          KdumpDescriptor::Parse(std::span(raw).subspan(at, KdumpDescriptor::kSize));
      if (descriptor.offset == 0) {
        ++tail.lost;
        continue;
      }
      lowest = std::min(lowest, descriptor.offset);
      highest = std::max(highest, descriptor.offset);
      tail.end =
          std::max(tail.end, CheckedAdd(descriptor.offset, descriptor.size).value_or(UINT64_MAX));
    }
    if (lowest < highest) break;
  }
  return tail;
}

// Compares what the headers announce with what the file holds.
Status CheckEnd(const ByteSource& source, const std::string& path, const KdumpHeader& header,
                uint64_t stored_pages, DumpInfo& info, DiagnosticSink& sink) {
  const uint64_t descriptors_end =
      header.descriptors.value() + stored_pages * KdumpDescriptor::kSize;
  const Result<Tail> tail = ScanTail(source, header.descriptors, stored_pages);
  if (!tail) return Within(path, tail.error());
  const uint64_t end = std::max(descriptors_end, tail->end);
  if (end > source.size()) {
    info.incomplete = true;
    sink.Incomplete("kdump.truncated", "{}: pages reach to {:#x}, the file ends at {:#x}", path,
                    end, source.size());
  }
  if ((header.status & kKdumpIncomplete) != 0) {
    info.incomplete = true;
    sink.Incomplete("kdump.incomplete",
                    "{}: the dump says that it is incomplete, pages are missing", path);
  } else if (tail->lost != 0) {
    info.incomplete = true;
    sink.Incomplete("kdump.lost-pages",
                    "{}: its writer stopped early: at least {} pages announced were never stored",
                    path, tail->lost);
  }
  const std::optional<uint64_t> erase_end =
      CheckedAdd(header.eraseinfo.offset.value(), header.eraseinfo.size);
  if (header.eraseinfo.size != 0 && (!erase_end || *erase_end > source.size())) {
    info.incomplete = true;
    sink.Incomplete("kdump.eraseinfo-truncated",
                    "{}: list of erased symbols at {:#x}: {:#x} bytes, the file ends at {:#x}",
                    path, header.eraseinfo.offset.value(), header.eraseinfo.size, source.size());
  }
  return {};
}

void CollectNotes(const ByteSource& source, const std::string& path, const KdumpHeader& header,
                  std::vector<DumpNote>& notes, DiagnosticSink& sink) {
  const std::string context = path + ": kdump header";
  ReadNotes(source, header.notes.offset, header.notes.size, context, notes, sink);
  const auto named = [](std::string_view name) {
    return [name](const DumpNote& note) { return note.name == name; };
  };
  if (std::any_of(notes.begin(), notes.end(), named("VMCOREINFO"))) return;
  // Version 3 has no notes, only a pointer to the text.
  const uint64_t size = std::min(header.vmcoreinfo.size, kMaxNoteBytes);
  const uint64_t at = header.vmcoreinfo.offset.value();
  const uint64_t available = at < source.size() ? source.size() - at : 0;
  DumpNote note{"VMCOREINFO", 0,
                std::vector<std::byte>(static_cast<size_t>(std::min(size, available)))};
  const Result<size_t> got = source.ReadAt(header.vmcoreinfo.offset, note.descriptor);
  note.descriptor.resize(got ? *got : 0);
  if (note.descriptor.size() < header.vmcoreinfo.size) {
    sink.Incomplete("note.truncated",
                    "{}: VMCOREINFO at {:#x}: {:#x} bytes announced, {:#x} could be read", context,
                    at, header.vmcoreinfo.size, note.descriptor.size());
  }
  if (!note.descriptor.empty()) notes.push_back(std::move(note));
}

}  // namespace

Result<Dump> OpenKdump(std::shared_ptr<const ByteSource> source, const std::string& path,
                       DiagnosticSink& sink) {
  const Result<KdumpHeader> header = ReadKdumpHeader(*source, path, sink);
  if (!header) return tl::unexpected(header.error());

  Dump dump;
  dump.info.format = "kdump-compressed";
  dump.info.format_detail = fmt::format("header version {}", header->version);
  dump.info.compression = CompressionName(header->status);
  dump.info.machine = "x86_64";
  dump.info.release = header->release;
  dump.info.version = header->utsname_version;
  dump.info.nodename = header->nodename;
  dump.info.domainname = header->domainname;
  CollectNotes(*source, path, *header, dump.notes, sink);

  Result<PageBitmap> stored = PageBitmap::Load(*source, header->second_bitmap, header->max_mapnr);
  if (!stored) return Within(path, stored.error());
  std::unique_ptr<const PageBitmap> ram;
  if (header->two_bitmaps()) {
    Result<PageBitmap> first = PageBitmap::Load(*source, header->first_bitmap, header->max_mapnr);
    if (!first) return Within(path, first.error());
    if (const std::optional<uint64_t> frame = stored->FirstMissingIn(*first)) {
      sink.Incomplete("kdump.bitmaps-disagree",
                      "{}: page frame {:#x} is stored, and not RAM by the first bitmap", path,
                      *frame);
    }
    ram = std::make_unique<const PageBitmap>(std::move(*first));
  }
  // The bitmap is inside the file, so this is far inside 64 bits.
  if (Status end = CheckEnd(*source, path, *header, stored->count(), dump.info, sink); !end) {
    return tl::unexpected(end.error());
  }
  dump.memory = std::make_unique<KdumpMemory>(std::move(source), header->block_size, std::move(ram),
                                              std::move(*stored), header->descriptors);
  return dump;
}

}  // namespace dmaudit
