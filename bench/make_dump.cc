// SPDX-License-Identifier: GPL-2.0-or-later
// Writes the large dumps that the benchmarks read, each grown from a small real one. See kUsage.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "audit/audit.h"
#include "base/bytes.h"
#include "bench/synthetic_content.h"
#include "support/dump_builder.h"
#include "vmcore/dump.h"
#include "vmcore/io/file_source.h"
#include "vmcore/write/atomic_file.h"
#include "vmcore/write/kdump_writer.h"

namespace dmaudit::bench {
namespace {

constexpr const char* kUsage =
    R"(make_dump KIND BASE OUT [--OPTION NUMBER]...: grows a dump for benchmarks from BASE, a dump of a
legacy-mode machine (tests/fixtures/debian12-6.1-legacy.kdump will do). Unknown bytes of BASE become
zeros. OUT is written with holes.

codec      the pages of BASE as kdump-compressed; --codec raw|zlib|lzo|snappy|zstd
elf        the pages of BASE as ELF. --mib N: a last segment fills the file up to that size.
           --segments N: segments of one page are added until there are so many
terabyte   kdump of a machine with --gib (1024) of RAM of which every --stride (64) page is stored, and
           one more device with --mappings (1000000) pages mapped, half of them apart from the one
           before
sparse     kdump with three pages at 0x602770ecf000: two bitmaps of 3 GiB
flatten    BASE, any file, as makedumpfile's flattened stream in records of --record (512) bytes;
           --shuffle 1: in random order
)";

using Options = std::map<std::string, std::string>;

Result<uint64_t> Number(const Options& options, const std::string& name, uint64_t fallback) {
  const auto it = options.find(name);
  if (it == options.end()) return fallback;
  uint64_t value = 0;
  const std::string& text = it->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) {
    return Fail(ErrorCode::kUsage, "--{} {}: expected a number above 0", name, text);
  }
  return value;
}

Result<Dump> OpenBase(const std::string& path) {
  DiagnosticSink sink;
  Result<std::vector<Dump>> dumps = OpenDumps({path}, sink);
  if (!dumps) return tl::unexpected<Error>(dumps.error());
  if (dumps->size() != 1 || dumps->front().memory->page_size() != kPage) {
    return Fail(ErrorCode::kUsage, "{}: not one dump with pages of {} bytes", path, kPage);
  }
  Dump dump = std::move(dumps->front());
  // What a distilled dump does not hold is zero in what is made of it, and not said to be redacted.
  std::erase_if(dump.notes, [](const DumpNote& note) { return note.name == "DMAUDIT"; });
  return dump;
}

Status WriteGrown(const Dump& base, SyntheticContent& content, const std::string& out) {
  KdumpDescription header;
  header.release = base.info.release;
  header.version = base.info.version;
  header.block_size = kPage;
  header.notes = base.notes;
  Result<AtomicFile> file = AtomicFile::Create(out, AtomicFile::Access::kPositioned);
  if (!file) return tl::unexpected<Error>(file.error());
  const KdumpOptions options{StoreCodec::kZstd, 1};
  const Result<KdumpSummary> written = WriteKdump(header, content, options, *file);
  if (!written) return tl::unexpected<Error>(written.error());
  return file->Commit();
}

// The log's "DMAR: Host address width 39" would put half of a terabyte out of reach.
void WidenHostAddresses(SyntheticContent& content, const PhysicalMemory& memory) {
  constexpr std::string_view kLine = "DMAR: Host address width ";
  const auto context = memory.MakeContext();
  Page page;
  for (const uint64_t base : content.base_pages()) {
    memory.ReadPage(PhysAddr(base), *context, page);
    const std::string_view text = AsText(page.bytes);
    for (size_t at = text.find(kLine); at != std::string_view::npos;
         at = text.find(kLine, at + 1)) {
      if (at + kLine.size() + 2 > text.size()) break;
      std::memcpy(content.Change(PhysAddr(base)).data() + at + kLine.size(), "48", 2);
    }
  }
}

// Page tables of one device, put into added memory from `next` on.
class TableWriter {
 public:
  TableWriter(SyntheticContent& content, uint64_t next) : content_(content), next_(next) {}

  uint64_t NewPage() {
    const uint64_t page = next_;
    next_ += kPage;
    content_.Change(PhysAddr(page));
    return page;
  }
  void Map(uint64_t top, unsigned levels, uint64_t iova, uint64_t pa) {
    if (iova >> 21 != leaf_of_ || leaf_ == 0) {
      uint64_t table = top;
      for (unsigned level = levels; level > 1; --level) {
        const size_t at = iova >> (12 + 9 * (level - 1)) & 511;
        std::span<std::byte> entries = content_.Change(PhysAddr(table));
        const uint64_t entry = LoadUnchecked<uint64_t>(entries, at * 8);
        const uint64_t child = entry != 0 ? entry & ~uint64_t{0xfff} : NewPage();
        StoreUnchecked<uint64_t>(entries, at * 8, child | 3);
        table = child;
      }
      leaf_ = table;
      leaf_of_ = iova >> 21;
    }
    StoreUnchecked<uint64_t>(content_.Change(PhysAddr(leaf_)), (iova >> 12 & 511) * 8, pa | 3);
  }

 private:
  SyntheticContent& content_;
  uint64_t next_;
  uint64_t leaf_ = 0;  // the table of the entry before
  uint64_t leaf_of_ = 0;
};

// Adds a device to the first unit of the base: a context entry beside one of a translated device,
// with levels as there. Gives the number of levels and the place of the entry.
struct Slot {
  uint64_t entry = 0;
  unsigned levels = 0;
};
Result<Slot> FindFreeContext(const Dump& base) {
  DiagnosticSink sink;
  MemorySession session(*base.memory);
  const Result<AuditResult> audit = RunAudit(base, session, {}, sink);
  if (!audit) return tl::unexpected<Error>(audit.error());
  for (const AuditedUnit& unit : audit->units) {
    if (unit.status != UnitStatus::kWalked || !unit.state.rtaddr.known() ||
        (unit.state.rtaddr.value() & 0xc00) != 0) {
      continue;
    }
    uint64_t root = 0;
    const uint64_t table = unit.state.rtaddr.value() & ~uint64_t{0xfff};
    if (!session.ReadU64(PhysAddr(table), root).ok() || (root & 1) == 0) continue;
    Slot slot;
    for (uint64_t at = root & ~uint64_t{0xfff}, end = at + kPage; at < end; at += 16) {
      uint64_t low = 0, high = 0;
      if (!session.ReadU64(PhysAddr(at), low).ok() ||
          !session.ReadU64(PhysAddr(at + 8), high).ok()) {
        break;
      }
      if ((low & 1) == 0) {
        slot.entry = at;
      } else if ((low >> 2 & 3) == 0) {
        slot.levels = static_cast<unsigned>(high & 7) + 2;
      }
    }
    if (slot.entry != 0 && slot.levels != 0) return slot;
  }
  return Fail(ErrorCode::kUsage, "{}: no legacy-mode unit with a translated device on bus 0",
              base.info.paths.at(0));
}

Status MakeTerabyte(const Dump& base, const std::string& out, const Options& options) {
  const Result<uint64_t> gib = Number(options, "gib", 1024);
  const Result<uint64_t> stride = Number(options, "stride", 64);
  const Result<uint64_t> mappings = Number(options, "mappings", 1'000'000);
  for (const auto* number : {&gib, &stride, &mappings}) {
    if (!*number) return tl::unexpected<Error>(number->error());
  }
  const Result<Slot> slot = FindFreeContext(base);
  if (!slot) return tl::unexpected<Error>(slot.error());

  SyntheticContent content(*base.memory);
  const uint64_t first = content.end_of_base();
  const uint64_t size = *gib << 30;
  if (*gib > 65536 || size < first + (uint64_t{4} << 30)) {
    return Fail(ErrorCode::kUsage, "--gib {}: expected {} to 65536", *gib, (first >> 30) + 4);
  }
  const PhysRange more{PhysAddr(first), PhysAddr(size - 1)};
  content.AddRam(more);
  content.AddZeroPages(more, *stride);
  WidenHostAddresses(content, *base.memory);

  TableWriter tables(content, size / 2);
  const uint64_t top = tables.NewPage();
  std::mt19937_64 random(1);
  uint64_t iova = uint64_t{4} << 30;
  uint64_t pa = 0;
  for (uint64_t i = 0; i < *mappings; ++i, iova += kPage) {
    const uint64_t draw = random();
    if (i == 0 || (draw & 1) != 0 || pa + kPage >= size) {
      pa = first + (draw >> 8) % ((size - first) / kPage) * kPage;
      if ((draw & 0xe) == 0) iova += kPage;
    } else {
      pa += kPage;
    }
    if (iova >> (12 + 9 * slot->levels) != 0) {
      return Fail(ErrorCode::kUsage, "--mappings {}: more than {} levels hold", *mappings,
                  slot->levels);
    }
    tables.Map(top, slot->levels, iova, pa);
  }
  const PhysAddr entry(slot->entry);
  const std::span<std::byte> contexts = content.Change(entry.AlignDown(kPage));
  StoreUnchecked<uint64_t>(contexts, entry.OffsetIn(kPage), top | 1);
  StoreUnchecked<uint64_t>(contexts, entry.OffsetIn(kPage) + 8,
                           (slot->levels - 2) | uint64_t{0xfff} << 8);
  return WriteGrown(base, content, out);
}

Status MakeSparse(const Dump& base, const std::string& out) {
  constexpr uint64_t kHigh = 0x6027'70ec'f000;
  SyntheticContent content(*base.memory);
  content.AddRam({PhysAddr(kHigh), PhysAddr(kHigh + 3 * kPage - 1)});
  for (uint64_t i = 0; i < 3; ++i) {
    StoreUnchecked<uint64_t>(content.Change(PhysAddr(kHigh + i * kPage)), 0, i + 1);
  }
  return WriteGrown(base, content, out);
}

Status MakeCodec(const Dump& base, const std::string& out, const Options& options) {
  using test::KdumpBuilder;
  static const std::map<std::string, std::pair<PageCodec, uint32_t>> kCodecs = {
      {"raw", {PageCodec::kRaw, 0}},      {"zlib", {PageCodec::kZlib, 1}},
      {"lzo", {PageCodec::kLzo, 2}},      {"snappy", {PageCodec::kSnappy, 4}},
      {"zstd", {PageCodec::kZstd, 0x20}},
  };
  const auto named = options.find("codec");
  const auto codec = named == options.end() ? kCodecs.end() : kCodecs.find(named->second);
  if (codec == kCodecs.end()) {
    return Fail(ErrorCode::kUsage, "--codec: expected raw, zlib, lzo, snappy or zstd");
  }
  SyntheticContent content(*base.memory);
  KdumpBuilder builder;
  builder.status = codec->second.second;
  builder.release = base.info.release;
  builder.max_mapnr = content.base_pages().empty() ? 1 : content.base_pages().back() / kPage + 1;
  for (const DumpNote& note : base.notes) {
    const std::vector<std::byte> bytes =
        test::MakeNote(note.name, note.type, AsText(note.descriptor));
    builder.notes.insert(builder.notes.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> page(kPage);
  for (const uint64_t at : content.base_pages()) {
    content.FillPage(PhysAddr(at), page);
    std::vector<std::byte> stored = test::Compress(codec->second.first, page);
    // As writers do: raw where it does not shrink.
    if (stored.size() < kPage) {
      builder.AddStored(at / kPage, std::move(stored), codec->second.second);
    } else {
      builder.AddStored(at / kPage, page, 0);
    }
  }
  const test::KdumpImage image = builder.Build();
  Result<AtomicFile> file = AtomicFile::Create(out);
  if (!file) return tl::unexpected<Error>(file.error());
  const Status written = file->Append(image.bytes);
  return written ? file->Commit() : written;
}

struct Load {
  uint64_t physical;
  uint64_t size;
  uint64_t offset;
};

std::vector<std::byte> ElfHeaders(const std::vector<Load>& loads, uint64_t notes_at,
                                  uint64_t notes_size) {
  constexpr uint64_t kHeader = 64, kSegment = 56, kSection = 64;
  constexpr uint16_t kExtended = 0xffff;  // PN_XNUM: the number is in section header 0
  const uint64_t segments = loads.size() + 1;
  const bool extended = segments >= kExtended;
  const uint64_t section_at = kHeader + segments * kSegment;
  std::vector<std::byte> out(static_cast<size_t>(section_at + kSection));
  const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
  std::memcpy(out.data(), ident, sizeof ident);
  StoreUnchecked<uint16_t>(out, 16, 4);   // ET_CORE
  StoreUnchecked<uint16_t>(out, 18, 62);  // EM_X86_64
  StoreUnchecked<uint32_t>(out, 20, 1);
  StoreUnchecked<uint64_t>(out, 32, kHeader);
  StoreUnchecked<uint64_t>(out, 40, extended ? section_at : 0);
  StoreUnchecked<uint16_t>(out, 52, static_cast<uint16_t>(kHeader));
  StoreUnchecked<uint16_t>(out, 54, static_cast<uint16_t>(kSegment));
  StoreUnchecked<uint16_t>(out, 56, extended ? kExtended : static_cast<uint16_t>(segments));
  StoreUnchecked<uint16_t>(out, 58, static_cast<uint16_t>(kSection));
  StoreUnchecked<uint16_t>(out, 60, extended ? 1 : 0);
  if (extended) {
    StoreUnchecked<uint32_t>(out, static_cast<size_t>(section_at) + 44,
                             static_cast<uint32_t>(segments));
  }
  size_t at = kHeader;
  const auto segment = [&](uint32_t type, uint64_t offset, uint64_t physical, uint64_t size) {
    StoreUnchecked<uint32_t>(out, at, type);
    StoreUnchecked<uint64_t>(out, at + 8, offset);
    StoreUnchecked<uint64_t>(out, at + 24, physical);
    StoreUnchecked<uint64_t>(out, at + 32, size);
    StoreUnchecked<uint64_t>(out, at + 40, size);
    at += kSegment;
  };
  segment(4, notes_at, 0, notes_size);  // PT_NOTE
  for (const Load& load : loads) segment(1, load.offset, load.physical, load.size);
  return out;
}

Status MakeElf(const Dump& base, const std::string& out, const Options& options) {
  const Result<uint64_t> mib = Number(options, "mib", 1);
  const Result<uint64_t> segments = Number(options, "segments", 1);
  if (!mib) return tl::unexpected<Error>(mib.error());
  if (!segments) return tl::unexpected<Error>(segments.error());
  if (*mib > (uint64_t{1} << 24) || *segments > 10'000'000) {
    return Fail(ErrorCode::kUsage, "more than 16 TiB or 10 million segments");
  }
  SyntheticContent content(*base.memory);
  const std::vector<uint64_t>& pages = content.base_pages();
  if (pages.empty()) return Fail(ErrorCode::kUsage, "the base has no page");

  std::vector<Load> loads;
  uint64_t size = 0;  // of the loads, laid out one after another
  const auto add = [&](uint64_t physical, uint64_t bytes) {
    loads.push_back({physical, bytes, size});
    size += bytes;
  };
  for (const uint64_t page : pages) {
    if (!loads.empty() && loads.back().physical + loads.back().size == page) {
      loads.back().size += kPage;
      size += kPage;
    } else {
      add(page, kPage);
    }
  }
  const size_t own = loads.size();
  uint64_t next = content.end_of_base();
  while (loads.size() < *segments) {
    add(next, kPage);
    next += 2 * kPage;
  }
  const size_t filled = loads.size();
  if (size < *mib << 20) add(next, (*mib << 20) - size);  // a hole of the file

  std::vector<std::byte> notes;
  for (const DumpNote& note : base.notes) {
    const auto bytes = test::MakeNote(note.name, note.type, AsText(note.descriptor));
    notes.insert(notes.end(), bytes.begin(), bytes.end());
  }
  const uint64_t notes_at = ElfHeaders(loads, 0, 0).size();
  const uint64_t data_at = (notes_at + notes.size() + kPage - 1) / kPage * kPage;
  for (Load& load : loads) load.offset += data_at;

  Result<AtomicFile> file = AtomicFile::Create(out, AtomicFile::Access::kPositioned);
  if (!file) return tl::unexpected<Error>(file.error());
  Status status = file->WriteAt(0, ElfHeaders(loads, notes_at, notes.size()));
  if (status) status = file->WriteAt(notes_at, notes);
  std::vector<std::byte> page(kPage);
  size_t repeated = 0;  // added segments hold the pages of the base over again
  for (size_t i = 0; status && i < filled; ++i) {
    for (uint64_t at = 0; status && at < loads[i].size; at += kPage) {
      const uint64_t from = i < own ? loads[i].physical + at : pages[repeated++ % pages.size()];
      content.FillPage(PhysAddr(from), page);
      status = file->WriteAt(loads[i].offset + at, page);
    }
  }
  if (status) status = file->ExtendTo(data_at + size);
  return status ? file->Commit() : status;
}

Status Flatten(const std::string& in, const std::string& out, const Options& options) {
  const Result<uint64_t> record = Number(options, "record", 512);
  if (!record) return tl::unexpected<Error>(record.error());
  if (*record > (1 << 20)) return Fail(ErrorCode::kUsage, "--record: at most {}", 1 << 20);
  const Result<std::unique_ptr<FileSource>> source = FileSource::Open(in);
  if (!source) return tl::unexpected<Error>(source.error());
  const uint64_t size = (*source)->size();
  std::vector<uint32_t> order(static_cast<size_t>((size + *record - 1) / *record));
  std::iota(order.begin(), order.end(), 0);
  if (options.contains("shuffle")) std::shuffle(order.begin(), order.end(), std::mt19937_64(1));

  const auto big_endian = [](std::span<std::byte> at, uint64_t value) {
    for (size_t i = 0; i < 8; ++i) at[i] = static_cast<std::byte>(value >> (56 - 8 * i));
  };
  Result<AtomicFile> file = AtomicFile::Create(out);
  if (!file) return tl::unexpected<Error>(file.error());
  std::vector<std::byte> buffer(4096);
  std::ranges::copy(AsBytes(std::string_view("makedumpfile")), buffer.begin());
  big_endian(std::span(buffer).subspan(16), 1);  // type
  big_endian(std::span(buffer).subspan(24), 1);  // version
  for (const uint32_t index : order) {
    const uint64_t offset = uint64_t{index} * *record;
    const size_t bytes = static_cast<size_t>(std::min(*record, size - offset));
    const size_t at = buffer.size();
    buffer.resize(at + 16 + bytes);
    big_endian(std::span(buffer).subspan(at), offset);
    big_endian(std::span(buffer).subspan(at + 8), bytes);
    const Result<size_t> got =
        (*source)->ReadAt(FileOffset(offset), std::span(buffer).subspan(at + 16));
    if (!got) return tl::unexpected<Error>(got.error());
    if (buffer.size() < (1 << 20)) continue;
    if (const Status appended = file->Append(buffer); !appended) return appended;
    buffer.clear();
  }
  buffer.resize(buffer.size() + 16, std::byte{0xff});  // the end record
  const Status written = file->Append(buffer);
  return written ? file->Commit() : written;
}

Status Make(const std::string& kind, const std::string& base_path, const std::string& out,
            const Options& options) {
  if (kind == "flatten") return Flatten(base_path, out, options);
  const Result<Dump> base = OpenBase(base_path);
  if (!base) return tl::unexpected<Error>(base.error());
  if (kind == "codec") return MakeCodec(*base, out, options);
  if (kind == "elf") return MakeElf(*base, out, options);
  if (kind == "terabyte") return MakeTerabyte(*base, out, options);
  if (kind == "sparse") return MakeSparse(*base, out);
  return Fail(ErrorCode::kUsage, "no such kind of dump: {}", kind);
}

}  // namespace
}  // namespace dmaudit::bench

int main(int argc, char** argv) {
  using dmaudit::bench::kUsage;
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 3 || words.size() % 2 == 0) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  dmaudit::bench::Options options;
  for (size_t i = 3; i < words.size(); i += 2) {
    if (!words[i].starts_with("--")) {
      std::fputs(kUsage, stderr);
      return 2;
    }
    options[words[i].substr(2)] = words[i + 1];
  }
  const dmaudit::Status made = dmaudit::bench::Make(words[0], words[1], words[2], options);
  if (made) return 0;
  std::fputs(fmt::format("make_dump: {}\n", made.error().message).c_str(), stderr);
  return 2;
}
