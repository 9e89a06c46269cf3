// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/kdump_writer.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>

#include "support/mini_kdump.h"
#include "support/temp_dir.h"

namespace dmaudit {
namespace {

using test::MiniKdump;
using test::TempDir;
using Bytes = std::vector<std::byte>;

class Pages : public KdumpContent {
 public:
  std::vector<PhysRange> ram;
  std::map<uint64_t, Bytes> pages;

  void VisitRam(const std::function<bool(PhysRange)>& visit) const override {
    for (const PhysRange& range : ram) {
      if (!visit(range)) return;
    }
  }
  void VisitPages(const std::function<bool(const PageRun&)>& visit) const override {
    for (const auto& [base, bytes] : pages) {
      if (!visit({.first = PhysAddr(base)})) return;
    }
  }
  std::map<uint64_t, StoredAs> damaged;

  std::unique_ptr<PageFiller> MakeFiller() const override {
    struct Filler : PageFiller {
      const Pages& content;
      explicit Filler(const Pages& c) : content(c) {}
      Result<StoredAs> Fill(PhysAddr base, std::span<std::byte> out) override {
        const auto damage = content.damaged.find(base.value());
        if (damage != content.damaged.end()) return damage->second;
        std::ranges::copy(content.pages.at(base.value()), out.begin());
        return StoredAs::kData;
      }
    };
    return std::make_unique<Filler>(*this);
  }
};

Bytes Filled(size_t size, unsigned value) { return Bytes(size, static_cast<std::byte>(value)); }

// Nothing shrinks this.
Bytes Noise(size_t size) {
  Bytes out(size);
  uint64_t state = 88172645463325252u;
  for (std::byte& b : out) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    b = static_cast<std::byte>(state >> 32);
  }
  return out;
}

KdumpDescription Header(uint32_t block_size = 4096) {
  KdumpDescription header;
  header.release = "6.1.0-test";
  header.version = "#1 SMP";
  header.timestamp = 1700000000;
  header.block_size = block_size;
  header.nr_cpus = 3;
  header.phys_base = 0xfffffffffbc00000;
  header.notes = {{"CORE", 1, Filled(7, 1)},
                  {"VMCOREINFO", 0, Bytes{std::byte{'A'}, std::byte{'='}, std::byte{'1'}}}};
  return header;
}

Pages Sample(uint32_t block_size = 4096) {
  Pages content;
  content.ram = {{PhysAddr(0), PhysAddr(uint64_t{20} * block_size - 1)},
                 {PhysAddr(uint64_t{40} * block_size), PhysAddr(uint64_t{41} * block_size)}};
  content.pages[uint64_t{1} * block_size] = Filled(block_size, 7);
  content.pages[uint64_t{2} * block_size] = Filled(block_size, 0);
  content.pages[uint64_t{9} * block_size] = Noise(block_size);
  content.pages[uint64_t{41} * block_size] = Filled(block_size, 0);
  return content;
}

Status Write(const KdumpDescription& header, KdumpContent& content, const KdumpOptions& options,
             const std::string& path) {
  Result<AtomicFile> file = AtomicFile::Create(path, AtomicFile::Access::kPositioned);
  REQUIRE(file);
  const Result<KdumpSummary> written = WriteKdump(header, content, options, *file);
  return written ? file->Commit() : Status(tl::unexpected(written.error()));
}

// Runs of damaged pages between pages of data, told as such or to be asked for one by one.
class DamagedRuns : public KdumpContent {
 public:
  bool told = true;
  std::vector<PageRun> runs;

  void Add(StoredAs as, uint64_t count) {
    const uint64_t next =
        runs.empty() ? 3 : runs.back().first.value() / 4096 + runs.back().count + 1;
    runs.push_back({PhysAddr(next * 4096), count, as});
  }
  void VisitRam(const std::function<bool(PhysRange)>& visit) const override {
    for (const PageRun& run : runs) {
      if (!visit(*PhysRange::FromSize(run.first, run.count * 4096))) return;
    }
  }
  void VisitPages(const std::function<bool(const PageRun&)>& visit) const override {
    for (const PageRun& run : runs) {
      const bool damaged = run.as != StoredAs::kData;
      if (!visit({run.first, run.count, told && damaged ? run.as : std::nullopt})) return;
    }
  }
  std::unique_ptr<PageFiller> MakeFiller() const override {
    struct Filler : PageFiller {
      const DamagedRuns& content;
      explicit Filler(const DamagedRuns& c) : content(c) {}
      Result<StoredAs> Fill(PhysAddr base, std::span<std::byte> out) override {
        const auto run = std::ranges::find_if(content.runs, [base](const PageRun& candidate) {
          return base.value() - candidate.first.value() < candidate.count * 4096;
        });
        REQUIRE(run != content.runs.end());
        std::ranges::fill(out, std::byte{0x5a});
        return *run->as;
      }
    };
    return std::make_unique<Filler>(*this);
  }
};

TEST_CASE("headers, notes, bitmaps and pages read back, for every codec and page size") {
  const TempDir dir;
  struct Case {
    StoreCodec codec;
    uint32_t flag;
  };
  const std::array<Case, 5> cases = {Case{StoreCodec::kRaw, 0}, Case{StoreCodec::kZlib, 1},
                                     Case{StoreCodec::kLzo, 2}, Case{StoreCodec::kSnappy, 4},
                                     Case{StoreCodec::kZstd, 0x20}};
  for (const uint32_t block : {4096u, 16384u, 65536u}) {
    for (const Case& c : cases) {
      CAPTURE(block);
      CAPTURE(c.flag);
      Pages content = Sample(block);
      REQUIRE(Write(Header(block), content, {c.codec, 6}, dir.File("dump")));
      const MiniKdump dump(dir.File("dump"));
      CHECK(dump.U32(8) == 6);
      CHECK(dump.Text(12, 65) == "Linux");
      CHECK(dump.Text(12 + 65, 65).empty());
      CHECK(dump.Text(12 + 2 * 65, 65) == "6.1.0-test");
      CHECK(dump.Text(12 + 3 * 65, 65) == "#1 SMP");
      CHECK(dump.Text(12 + 4 * 65, 65) == "x86_64");
      CHECK(dump.U64(408) == 1700000000);
      CHECK(dump.U32(424) == c.flag);
      CHECK(dump.page_size() == block);
      CHECK(dump.U32(440) == 42);
      CHECK(dump.U32(460) == 3);
      CHECK(dump.Sub(0) == 0xfffffffffbc00000);
      CHECK(dump.Sub(8) == 31);  // dump level, and split 0
      CHECK(dump.Sub(96) == 42);

      const std::vector<DumpNote> notes = dump.Notes();
      REQUIRE(notes.size() == 2);
      CHECK(notes[0].name == "CORE");
      CHECK(notes[0].type == 1);
      CHECK(notes[0].descriptor == Filled(7, 1));
      CHECK(notes[1].name == "VMCOREINFO");
      CHECK(dump.Text(dump.Sub(32), dump.Sub(40)) == "A=1");

      for (uint64_t pfn = 0; pfn < 42; ++pfn) {
        CHECK(dump.InBitmap(1, pfn) == (pfn < 20 || pfn >= 40));
        const auto wanted = content.pages.find(pfn * block);
        const auto found = dump.Find(pfn);
        REQUIRE(found.has_value() == (wanted != content.pages.end()));
        if (found) CHECK(dump.PageBytes(*found) == wanted->second);
      }
      CHECK(dump.Find(1)->flags == c.flag);
      CHECK(dump.Find(9)->flags == 0);                       // did not shrink
      CHECK(dump.Find(2)->offset == dump.Find(41)->offset);  // zero pages share one
    }
  }
}

TEST_CASE("an incomplete dump says so beside its codec") {
  const TempDir dir;
  Pages content = Sample();
  KdumpDescription header = Header();
  header.incomplete = true;
  REQUIRE(Write(header, content, {StoreCodec::kZlib, 6}, dir.File("dump")));
  CHECK(MiniKdump(dir.File("dump")).U32(424) == 9);
}

TEST_CASE("no RAM, no pages and no notes still make a well-formed file") {
  const TempDir dir;
  Pages content;
  KdumpDescription header = Header();
  header.notes.clear();
  REQUIRE(Write(header, content, {}, dir.File("dump")));
  const MiniKdump dump(dir.File("dump"));
  CHECK(dump.Sub(48) == 0);
  CHECK(dump.Sub(56) == 0);
  CHECK(dump.size() == dump.bitmap1_at() + 2 * dump.bitmap_bytes());
}

TEST_CASE("texts are cut at what the header holds, and stay terminated") {
  const TempDir dir;
  Pages content = Sample();
  KdumpDescription header = Header();
  header.release = fmt::format("{:r>64}cut", "");
  REQUIRE(Write(header, content, {}, dir.File("dump")));
  CHECK(MiniKdump(dir.File("dump")).Text(12 + 2 * 65, 65) == std::string(64, 'r'));
}

TEST_CASE("RAM that touches inside one page or ends off a page border is whole pages") {
  const TempDir dir;
  Pages content;
  content.ram = {{PhysAddr(0x1800), PhysAddr(0x1fff)},
                 {PhysAddr(0x3000), PhysAddr(0x37ff)},
                 {PhysAddr(0x3900), PhysAddr(0x4000)}};
  REQUIRE(Write(Header(), content, {}, dir.File("dump")));
  const MiniKdump dump(dir.File("dump"));
  CHECK(dump.Sub(96) == 5);
  const std::array<bool, 5> wanted = {false, true, false, true, true};
  for (uint64_t pfn = 0; pfn < wanted.size(); ++pfn) CHECK(dump.InBitmap(1, pfn) == wanted[pfn]);
}

TEST_CASE("bitmaps cross blocks") {
  const TempDir dir;
  constexpr uint64_t kBits = 4096 * 8;  // page frames of one bitmap block
  Pages content;
  content.ram = {{PhysAddr((kBits - 3) * 4096), PhysAddr((2 * kBits + 3) * 4096 - 1)}};
  content.pages[(kBits - 1) * 4096] = Filled(4096, 1);
  content.pages[kBits * 4096] = Filled(4096, 2);
  REQUIRE(Write(Header(), content, {}, dir.File("dump")));
  const MiniKdump dump(dir.File("dump"));
  CHECK_FALSE(dump.InBitmap(1, kBits - 4));
  for (uint64_t pfn = kBits - 3; pfn < 2 * kBits + 3; ++pfn) REQUIRE(dump.InBitmap(1, pfn));
  CHECK(dump.bitmap_bytes() == 3 * 4096);
  CHECK(dump.PageBytes(*dump.Find(kBits - 1)) == Filled(4096, 1));
  CHECK(dump.PageBytes(*dump.Find(kBits)) == Filled(4096, 2));
}

TEST_CASE("RAM at the top of the address space leaves holes, not gigabytes") {
  const TempDir dir;
  Pages content;
  const uint64_t base = 0x602770ecf000;
  content.ram = {{PhysAddr(0), PhysAddr(0xfff)}, {PhysAddr(base), PhysAddr(base + 0xfff)}};
  content.pages[base] = Filled(4096, 3);
  REQUIRE(Write(Header(), content, {}, dir.File("dump")));
  struct stat status {};
  REQUIRE(stat(dir.File("dump").c_str(), &status) == 0);
  CHECK(static_cast<uint64_t>(status.st_size) > uint64_t{6} << 30);
  CHECK(status.st_blocks * 512 < 1 << 20);
}

TEST_CASE("damaged pages in one run are written as those that are asked for one by one") {
  const TempDir dir;
  DamagedRuns content;
  for (const uint64_t count : {255u, 256u, 257u, 512u, 600u}) {
    for (const StoredAs as : {StoredAs::kLost, StoredAs::kTruncated, StoredAs::kCorrupt}) {
      content.Add(StoredAs::kData, 3);
      content.Add(as, count);
    }
  }
  content.Add(StoredAs::kData, 1);
  for (const bool told : {true, false}) {
    for (const unsigned threads : {1u, 3u}) {
      CAPTURE(told);
      CAPTURE(threads);
      content.told = told;
      REQUIRE(Write(Header(), content, {StoreCodec::kZlib, 1, threads, nullptr}, dir.File("dump")));
      const MiniKdump dump(dir.File("dump"));
      CHECK(dump.U32(424) == (1 | 8));  // zlib, incomplete
      uint64_t expected = 0;
      for (uint64_t pfn = 0; pfn <= content.runs.back().first.value() / 4096; ++pfn) {
        const auto run = std::ranges::find_if(content.runs, [pfn](const PageRun& candidate) {
          return pfn - candidate.first.value() / 4096 < candidate.count;
        });
        REQUIRE(dump.InBitmap(2, pfn) == (run != content.runs.end()));
        if (run == content.runs.end()) continue;
        const MiniKdump::Descriptor found = dump.At(expected++);
        switch (*run->as) {
          case StoredAs::kData:
            REQUIRE(dump.PageBytes(found) == Filled(4096, 0x5a));
            break;
          case StoredAs::kLost:
            REQUIRE((found.offset == 0 && found.size == 0 && found.flags == 0));
            break;
          case StoredAs::kTruncated:
            REQUIRE((found.offset >= dump.size() && found.size == 4096));
            break;
          case StoredAs::kCorrupt:
            REQUIRE((found.flags == (1 | 0x20) && found.offset + found.size <= dump.size()));
            break;
        }
      }
    }
  }
}

TEST_CASE("lost pages in one run are a hole of the file, and are counted") {
  const TempDir dir;
  for (const uint64_t count : {(1u << 20) - 1, 1u << 20, (1u << 20) + 1, 3u << 20}) {
    CAPTURE(count);
    DamagedRuns content;
    content.Add(StoredAs::kData, 1);
    content.Add(StoredAs::kLost, count);
    content.Add(StoredAs::kData, 1);
    uint64_t calls = 0, last = 0;
    const auto progress = [&](uint64_t done, uint64_t total) {
      CHECK(total == count + 2);
      CHECK(done >= last);
      last = done;
      ++calls;
      return true;
    };
    Result<AtomicFile> file = AtomicFile::Create(dir.File("dump"), AtomicFile::Access::kPositioned);
    REQUIRE(file);
    const Result<KdumpSummary> written =
        WriteKdump(Header(), content, {StoreCodec::kZlib, 1, 1, progress}, *file);
    REQUIRE(written);
    REQUIRE(file->Commit());
    CHECK(written->pages == count + 2);
    CHECK(written->lost == count);
    CHECK(last == count + 2);
    CHECK(calls == (count + ((1u << 20) - 1)) / (1u << 20) + 1);
    struct stat status {};
    REQUIRE(stat(dir.File("dump").c_str(), &status) == 0);
    CHECK(static_cast<uint64_t>(status.st_size) > count * 24);
    // Two bitmaps, and little more.
    CHECK(static_cast<uint64_t>(status.st_blocks) * 512 < count / 4 + (1 << 17));
    const MiniKdump dump(dir.File("dump"));
    CHECK(dump.PageBytes(dump.At(0)) == Filled(4096, 0x5a));
    CHECK(dump.At(1).offset == 0);
    CHECK(dump.At(count).offset == 0);
    CHECK(dump.PageBytes(dump.At(count + 1)) == Filled(4096, 0x5a));
  }
}

TEST_CASE("a run of damaged pages that is longer than announced is an error") {
  struct Growing : DamagedRuns {
    mutable unsigned asked = 0;
    void VisitPages(const std::function<bool(const PageRun&)>& visit) const override {
      const uint64_t count = ++asked < 3 ? 300 : 301;
      visit({PhysAddr(0), count, StoredAs::kLost});
    }
  } content;
  content.Add(StoredAs::kLost, 400);
  const TempDir dir;
  const Status status = Write(Header(), content, {}, dir.File("dump"));
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::kMalformed);
  CHECK(dir.Entries() == 0);
}

TEST_CASE("what cannot be written is refused") {
  const TempDir dir;
  const std::string path = dir.File("dump");
  Pages content = Sample();
  for (const uint32_t block : {0u, 2048u, 4095u, 4097u, 12288u, 131072u}) {
    CHECK_FALSE(Write(Header(block), content, {}, path));
  }
  KdumpDescription no_cpus = Header();
  no_cpus.nr_cpus = 0;
  CHECK_FALSE(Write(no_cpus, content, {}, path));
  CHECK_FALSE(Write(Header(), content, {StoreCodec::kZstd, 0}, path));
  CHECK_FALSE(Write(Header(), content, {StoreCodec::kZstd, 1000}, path));
  CHECK_FALSE(Write(Header(), content, {StoreCodec::kZlib, 0}, path));
  CHECK_FALSE(Write(Header(), content, {StoreCodec::kZlib, 13}, path));

  Pages high;
  high.ram = {{PhysAddr(kMaxKdumpAddress), PhysAddr(kMaxKdumpAddress)}};
  CHECK(Write(Header(), high, {}, path).error().code == ErrorCode::kLimit);
  Pages disorder;
  disorder.ram = {{PhysAddr(uint64_t{1} << 32), PhysAddr(uint64_t{1} << 32)},
                  {PhysAddr(0), PhysAddr(0)}};
  CHECK(Write(Header(), disorder, {}, path).error().code == ErrorCode::kMalformed);
  CHECK(dir.Entries() == 0);
}

TEST_CASE("an error of the content ends the writing, and no file appears") {
  struct Failing : Pages {
    std::unique_ptr<PageFiller> MakeFiller() const override {
      struct Filler : PageFiller {
        Result<StoredAs> Fill(PhysAddr base, std::span<std::byte>) override {
          return Fail(ErrorCode::kUnknown, "page {:#x}", base.value());
        }
      };
      return std::make_unique<Filler>();
    }
  } content;
  static_cast<Pages&>(content) = Sample();
  const TempDir dir;
  const Status status = Write(Header(), content, {}, dir.File("dump"));
  REQUIRE_FALSE(status);
  CHECK(status.error().message == "page 0x1000");
  CHECK(dir.Entries() == 0);
}

}  // namespace
}  // namespace dmaudit
