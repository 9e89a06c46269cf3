// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/kdump.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/number.h"
#include "vmcore/container/kdump_count.h"
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

Result<Tail> ScanTail(const ByteSource& source, FileOffset descriptors, uint64_t count,
                      ByteOrder order) {
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
          KdumpDescriptor::Parse(std::span(raw).subspan(at, KdumpDescriptor::kSize), order);
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

// Compares what the headers of a file announce with what it holds. False when something is missing.
bool CheckEnd(const KdumpFile& file, uint64_t stored_pages, DiagnosticSink& sink) {
  const KdumpHeader& header = file.header;
  const ByteSource& source = *file.source;
  bool whole = true;
  const auto missing = [&](std::string_view id, const std::string& what) {
    whole = false;
    sink.Incomplete(id, "{}: {}", file.path, what);
  };
  // The bitmap is inside the file, so this is far inside 64 bits.
  const uint64_t descriptors_end =
      header.descriptors.value() + stored_pages * KdumpDescriptor::kSize;
  const Result<Tail> read = ScanTail(source, header.descriptors, stored_pages, header.order);
  const Tail tail = read.value_or(Tail());
  if (!read) {
    missing("kdump.descriptors-unreadable",
            "page descriptors cannot be read: what is there of their pages is not known");
  }
  const uint64_t written =
      source.FirstUnwritten(header.descriptors, descriptors_end - header.descriptors.value())
          .value();
  const uint64_t end = std::max(descriptors_end, tail.end);
  if (end > source.size()) {
    missing("kdump.truncated",
            fmt::format("pages reach to {:#x}, the file ends at {:#x}", end, source.size()));
  }
  if ((header.status & kKdumpIncomplete) != 0) {
    missing("kdump.incomplete",
            "the dump says that it is incomplete: its writer stopped early, or it is a copy of a "
            "dump with gaps");
  } else if (written < descriptors_end) {
    missing("kdump.lost-pages",
            fmt::format("page descriptors at {:#x} are in no record of the stream: the pages that "
                        "are there are not known",
                        written));
  } else if (tail.lost != 0) {
    missing("kdump.lost-pages",
            fmt::format("its writer stopped early: at least {} pages announced were never stored",
                        tail.lost));
  }
  const std::optional<uint64_t> erase_end =
      CheckedAdd(header.eraseinfo.offset.value(), header.eraseinfo.size);
  if (header.eraseinfo.size != 0 && (!erase_end || *erase_end > source.size())) {
    missing("kdump.eraseinfo-truncated",
            fmt::format("list of erased symbols at {:#x}: {:#x} bytes, the file ends at {:#x}",
                        header.eraseinfo.offset.value(), header.eraseinfo.size, source.size()));
  }
  return whole;
}

// Text that a header points to, as a note. False when not all of it is in the file.
bool AppendText(const ByteSource& source, const FileExtent& extent, std::string_view name,
                std::vector<DumpNote>& notes) {
  const uint64_t size = std::min(extent.size, kMaxNoteBytes);
  const uint64_t at = extent.offset.value();
  const uint64_t written = source.FirstUnwritten(extent.offset, size).value() - at;
  const uint64_t available = at < source.size() ? std::min(source.size() - at, written) : 0;
  DumpNote note{std::string(name), 0,
                std::vector<std::byte>(static_cast<size_t>(std::min(size, available)))};
  const Result<size_t> got = source.ReadAt(extent.offset, note.descriptor);
  note.descriptor.resize(got ? *got : 0);
  const bool whole = note.descriptor.size() == extent.size;
  if (!note.descriptor.empty()) notes.push_back(std::move(note));
  return whole;
}

void CollectNotes(const KdumpFile& file, std::vector<DumpNote>& notes, DiagnosticSink& sink) {
  const KdumpHeader& header = file.header;
  const std::string context = file.path + ": kdump header";
  ReadNotes(*file.source, header.notes.offset, header.notes.size, context, notes, sink,
            header.order);
  // Version 3 has no notes, only a pointer to the text.
  if (!HasNote(notes, "VMCOREINFO") &&
      !AppendText(*file.source, header.vmcoreinfo, "VMCOREINFO", notes)) {
    sink.Incomplete("note.truncated",
                    "{}: VMCOREINFO at {:#x}: of {:#x} bytes announced not all could be read",
                    context, header.vmcoreinfo.offset.value(), header.vmcoreinfo.size);
  }
  if (header.eraseinfo.size == 0) return;
  ReportErased("kdump.erased", file.path, sink);
  // That it is cut is said with the rest of the file.
  (void)AppendText(*file.source, header.eraseinfo, "ERASEINFO", notes);
}

struct Bitmaps {
  PageBitmap stored;
  std::unique_ptr<const PageBitmap> ram;  // null when there is one bitmap
  // Its bits against the descriptors of the file it is from; nothing where it is known to be cut.
  std::optional<BitCount> count;
  bool agree = false;      // everything stored is RAM by the first bitmap
  bool unwritten = false;  // a stream lacks what is behind known()
  bool failed = false;     // what is behind known() cannot be read

  ByteState behind() const {
    if (failed) return ByteState::kCorrupt;
    return unwritten ? ByteState::kLost : ByteState::kTruncated;
  }
};

struct LoadedBitmap {
  PageBitmap bits;
  uint64_t written = 0;    // bits before the first that no record of a stream holds
  bool unwritten = false;  // what is behind them, bits does not have
};

// Loads a bitmap up to where a stream lost a record of it, as far as the bitmap alone shows that. A
// gap is zeros by the format, and no page is what zeros say. QEMU leaves out the end of both
// bitmaps, behind the last page of RAM; nobody leaves out anything before what is there, or all.
Result<LoadedBitmap> LoadBitmap(const KdumpFile& file, FileOffset at) {
  const uint64_t bits = file.header.max_mapnr;
  const ByteSource& source = *file.source;
  const uint64_t end = at.value() + ((bits - 1) / 8 + 1);
  const FileOffset gap = source.FirstUnwritten(at, end - at.value());
  LoadedBitmap loaded;
  loaded.written = std::min(bits, (gap.value() - at.value()) * 8);
  loaded.unwritten = loaded.written < bits && (gap == at || source.FirstWritten(gap).value() < end);
  Result<PageBitmap> read = PageBitmap::Load(source, at, loaded.unwritten ? loaded.written : bits);
  if (!read) return tl::unexpected<Error>(read.error());
  loaded.bits = *std::move(read);
  return loaded;
}

uint64_t OwnPages(const KdumpFile& file, const PageBitmap& stored) {
  return stored.Rank(file.header.end_frame) - stored.Rank(file.header.start_frame);
}

// Takes what a bitmap has behind its last written bit as lost, not as zeros.
Status EndAtWritten(const KdumpFile& file, FileOffset at, LoadedBitmap& bitmap) {
  Result<PageBitmap> before = PageBitmap::Load(*file.source, at, bitmap.written);
  if (!before) return tl::unexpected<Error>(before.error());
  bitmap.bits = *std::move(before);
  bitmap.unwritten = true;
  return {};
}

// Loads both bitmaps. A stream may lack the end of both, from the same place on; that it lost
// nothing with it only the count of descriptors shows.
Status LoadBoth(const KdumpFile& file, Bitmaps& bitmaps) {
  const KdumpHeader& header = file.header;
  Result<LoadedBitmap> second = LoadBitmap(file, header.second_bitmap);
  if (!second) return tl::unexpected<Error>(second.error());
  std::optional<LoadedBitmap> first;
  if (header.two_bitmaps()) {
    Result<LoadedBitmap> loaded = LoadBitmap(file, header.first_bitmap);
    if (!loaded) return tl::unexpected<Error>(loaded.error());
    first = *std::move(loaded);
  }
  const auto lacks_end = [&](const LoadedBitmap& bitmap) {
    return !bitmap.unwritten && bitmap.written < header.max_mapnr;
  };
  const bool read = !second->unwritten && !second->bits.failed();
  // Who writes parts of a split dump leaves out nothing.
  bool sure = read && !header.split && (!first || first->written == second->written);
  if (read && (lacks_end(*second) || second->bits.known() == header.max_mapnr)) {
    const BitCount count =
        CompareBitCount(*file.source, header, second->bits.count(), OwnPages(file, second->bits));
    sure = sure && count == BitCount::kAgrees;
    // Where the bitmap ends too soon, there are too few bits.
    if (!lacks_end(*second) || sure || count == BitCount::kTooMany) bitmaps.count = count;
  }
  if (!sure && lacks_end(*second)) {
    if (const Status cut = EndAtWritten(file, header.second_bitmap, *second); !cut) return cut;
  }
  if (!sure && first && lacks_end(*first)) {
    if (const Status cut = EndAtWritten(file, header.first_bitmap, *first); !cut) return cut;
  }
  bitmaps.unwritten = second->unwritten || (first && first->unwritten);
  bitmaps.failed = second->bits.failed() || (first && first->bits.failed());
  bitmaps.stored = std::move(second->bits);
  if (first) bitmaps.ram = std::make_unique<const PageBitmap>(std::move(first->bits));
  return {};
}

Result<Bitmaps> LoadBitmaps(const KdumpFile& file, DiagnosticSink& sink) {
  const KdumpHeader& header = file.header;
  Bitmaps bitmaps;
  if (const Status loaded = LoadBoth(file, bitmaps); !loaded) {
    return Within(file.path, loaded.error());
  }
  uint64_t known = bitmaps.stored.known();
  if (bitmaps.ram != nullptr) known = std::min(known, bitmaps.ram->known());
  if (bitmaps.stored.known() == 0 && bitmaps.stored.failed()) {
    return Fail(ErrorCode::kIo, "{}: kdump page bitmap at {:#x}: cannot be read", file.path,
                header.second_bitmap.value());
  }
  if (bitmaps.stored.known() == 0) {
    return Fail(ErrorCode::kMalformed, "{}: kdump page bitmap at {:#x}: not in {}", file.path,
                header.second_bitmap.value(),
                bitmaps.unwritten ? "a record of the stream" : "the file");
  }
  if (bitmaps.failed) {
    sink.Incomplete(
        "kdump.bitmap-unreadable",
        "{}: kdump page bitmaps: what is stored cannot be read from page frame {:#x} on", file.path,
        known);
  } else if (bitmaps.unwritten) {
    sink.Incomplete("kdump.bitmap-unwritten",
                    "{}: kdump page bitmaps: no record of the stream says what is stored from page "
                    "frame {:#x} on",
                    file.path, known);
  } else if (known < header.max_mapnr) {
    sink.Incomplete("kdump.bitmap-truncated",
                    "{}: kdump page bitmaps: what is stored is not known from page frame {:#x} on",
                    file.path, known);
  } else if (bitmaps.ram != nullptr) {
    const std::optional<uint64_t> frame = bitmaps.stored.FirstMissingIn(*bitmaps.ram);
    bitmaps.agree = !frame;
    if (frame) {
      sink.Incomplete("kdump.bitmaps-disagree",
                      "{}: page frame {:#x} is stored, and not RAM by the first bitmap", file.path,
                      *frame);
    }
  }
  return bitmaps;
}

// The frame from which on the pages of a file may have the content of others, UINT64_MAX when all
// is well. A bit that is missing is one that the first bitmap still has, or behind max_mapnr; of
// one too many nothing tells. `count`: as Bitmaps::count, of this file.
uint64_t DoubtfulFrom(const KdumpFile& file, const Bitmaps& bitmaps, std::optional<BitCount> count,
                      DiagnosticSink& sink) {
  // Where a bitmap is known to be cut, nothing is taken from there on.
  if (!count) return UINT64_MAX;
  const KdumpHeader& header = file.header;
  const uint64_t own = OwnPages(file, bitmaps.stored);
  const auto report = [&](std::string_view id, std::string_view what) {
    sink.Incomplete(id, "{}: page bitmap at {:#x}: {} pages of this file, {}", file.path,
                    header.second_bitmap.value(), own, what);
  };
  const auto not_used = [](uint64_t from) {
    return fmt::format(
        "they may have the content of others and are not used from page frame {:#x} "
        "on",
        from);
  };
  switch (*count) {
    case BitCount::kAgrees:
    case BitCount::kFits:
      break;
    case BitCount::kTooFew: {
      uint64_t from = header.start_frame;
      if (bitmaps.ram != nullptr) {
        from = std::max(from, bitmaps.ram->FirstMissingIn(bitmaps.stored).value_or(UINT64_MAX - 1));
      }
      report("kdump.bitmap-short",
             "and it has descriptors for more: " +
                 (from < header.max_mapnr ? not_used(from) : "pages are missing"));
      return from;
    }
    case BitCount::kTooMany:
      report("kdump.bitmap-long",
             "and it has descriptors for fewer: " + not_used(header.start_frame));
      return header.start_frame;
    case BitCount::kUnreadable:
      report("kdump.bitmap-unclear",
             "and its page descriptors cannot be read: that no page is missing is not sure");
      break;
    case BitCount::kUnclear:
      report("kdump.bitmap-unclear",
             "and page data begin elsewhere than behind the descriptors of all pages: that none is "
             "missing is not sure");
      break;
  }
  return UINT64_MAX;
}

// All parts of a split dump have the same bitmaps: without, descriptors would go to wrong pages.
// Gives the count of `file`.
Result<std::optional<BitCount>> CompareBitmaps(const KdumpFile& file, const KdumpFile& first,
                                               const Bitmaps& want) {
  DiagnosticSink ignored;
  const Result<Bitmaps> bitmaps = LoadBitmaps(file, ignored);
  if (!bitmaps) return tl::unexpected<Error>(bitmaps.error());
  const bool same = bitmaps->stored == want.stored &&
                    (bitmaps->ram == nullptr) == (want.ram == nullptr) &&
                    (want.ram == nullptr || *bitmaps->ram == *want.ram);
  if (same) return bitmaps->count;
  if (bitmaps->failed || want.failed) {
    return Fail(ErrorCode::kIo, "{}: kdump page bitmaps cannot be read",
                (bitmaps->failed ? file : first).path);
  }
  return Fail(ErrorCode::kMalformed,
              "{}: not a part of the same dump as {}: the page bitmaps differ", file.path,
              first.path);
}

std::string FormatDetail(const std::vector<KdumpFile>& files) {
  const KdumpHeader& header = files[0].header;
  std::string detail = fmt::format("header version {}", header.version);
  if (header.layout != "64-bit little-endian") detail += ", " + header.layout;
  if (header.split) {
    detail += files.size() == 1 ? ", one part of a split dump"
                                : fmt::format(", {} parts of a split dump", files.size());
  }
  return detail;
}

}  // namespace

Result<Dump> OpenKdump(std::shared_ptr<const ByteSource> source, const std::string& path,
                       DiagnosticSink& sink) {
  Result<KdumpHeader> header = ReadKdumpHeader(*source, path, sink);
  if (!header) return tl::unexpected(header.error());
  return OpenKdumpFiles({{path, std::move(source), *std::move(header)}}, sink);
}

Result<Dump> OpenKdumpFiles(std::vector<KdumpFile> files, DiagnosticSink& sink) {
  const KdumpFile& first = files[0];
  const KdumpHeader& header = first.header;
  Dump dump;
  dump.info.format = header.diskdump ? "diskdump" : "kdump-compressed";
  dump.info.format_detail = FormatDetail(files);
  dump.info.machine = header.machine;
  dump.info.release = header.release;
  dump.info.version = header.utsname_version;
  dump.info.nodename = header.nodename;
  dump.info.domainname = header.domainname;
  dump.info.dump_level = header.dump_level;
  // Parts repeat the notes.
  CollectNotes(first, dump.notes, sink);

  Result<Bitmaps> bitmaps = LoadBitmaps(first, sink);
  if (!bitmaps) return tl::unexpected(bitmaps.error());
  dump.info.incomplete =
      bitmaps->unwritten || bitmaps->failed || bitmaps->stored.known() < header.max_mapnr;
  uint32_t status = 0;
  for (KdumpFile& file : files) {
    status |= file.header.status;
    std::optional<BitCount> count = bitmaps->count;
    if (&file != &first) {
      const Result<std::optional<BitCount>> same = CompareBitmaps(file, first, *bitmaps);
      if (!same) return tl::unexpected(same.error());
      count = *same;
    }
    dump.info.incomplete |= !CheckEnd(file, OwnPages(file, bitmaps->stored), sink);
    file.doubtful_from = DoubtfulFrom(file, *bitmaps, count, sink);
    dump.info.incomplete |= file.doubtful_from != UINT64_MAX;
  }
  dump.info.compression = CompressionName(status);
  const std::vector<KdumpPart> parts = ArrangeKdumpParts(files, bitmaps->stored, sink);
  uint64_t served = 0;
  for (const KdumpPart& part : parts) {
    served += bitmaps->stored.Rank(part.end) - bitmaps->stored.Rank(part.first);
  }
  dump.info.incomplete |= served < bitmaps->stored.count();
  dump.memory = std::make_unique<KdumpMemory>(
      KdumpPages{header.block_size, header.order, header.max_mapnr, std::move(bitmaps->ram),
                 std::move(bitmaps->stored), bitmaps->agree, bitmaps->behind()},
      parts);
  return dump;
}

}  // namespace dmaudit
