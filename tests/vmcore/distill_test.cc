// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/distill.h"

#include <doctest/doctest.h>

#include "support/fake_memory.h"
#include "support/mini_kdump.h"
#include "support/temp_dir.h"
#include "vmcore/io/memory_source.h"
#include "vmcore/memory/redacted_memory.h"
#include "vmcore/memory/redaction_note.h"
#include "vmcore/memory/session.h"

namespace dmaudit {
namespace {

using test::FakeMemory;
using test::MiniKdump;
using test::TempDir;

DistillRequest Request() {
  DistillRequest request;
  request.header.release = "6.1.0-test";
  request.header.version = "#1 SMP";
  const std::string info = "OSRELEASE=6.1.0-test\n";
  const auto bytes = AsBytes(info);
  request.header.notes = {{"VMCOREINFO", 0, {bytes.begin(), bytes.end()}}};
  request.hints = {{"kallsyms", "0x2000"}};
  request.provenance = {"dmaudit 0.1.0", "kdump-compressed"};
  return request;
}

// Ten pages of numbered words from 0x1000 with every state somewhere.
FakeMemory Original() {
  FakeMemory memory;
  for (uint64_t at = 0x1000; at < 0xb000; at += 8) {
    memory.WriteU64(PhysAddr(at), 0x5ec2e70000000000 | at);
  }
  memory.SetPageState(PhysAddr(0x2000), ByteState::kExcluded);
  memory.SetPageState(PhysAddr(0x3000), ByteState::kLost);
  memory.SetPageState(PhysAddr(0x4000), ByteState::kTruncated);
  memory.SetPageState(PhysAddr(0x5000), ByteState::kCorrupt);
  memory.AddZeroPage(PhysAddr(0xc000));
  memory.SetState(PhysAddr(0xa100), 0x80, ByteState::kCorrupt);
  memory.SetState(PhysAddr(0xa404), 4, ByteState::kAbsent);
  return memory;
}

// The distilled file as a reader that knows the note sees it.
std::unique_ptr<const PhysicalMemory> Open(const std::string& path) {
  auto dump = std::make_unique<MiniKdump>(path);
  const std::vector<DumpNote> notes = dump->Notes();
  CHECK(dump->Text(12 + 5 * 65, 65) == kDistilledMark);
  DiagnosticSink sink;
  OverlaidMemory overlaid = OverlayRedaction(std::move(dump), notes, true, sink);
  CHECK(overlaid.distilled);
  CHECK(sink.diagnostics().empty());
  return std::move(overlaid.memory);
}

std::unique_ptr<const PhysicalMemory> OpenAsUsersDo(const std::string& path) {
  DiagnosticSink sink;
  Result<std::vector<Dump>> dumps = OpenDumps({path}, sink);
  REQUIRE(dumps);
  REQUIRE(dumps->size() == 1);
  CHECK(dumps->front().info.distilled);
  CHECK(dumps->front().info.release == "6.1.0-test");
  CHECK_FALSE(dumps->front().info.incomplete);
  CHECK(sink.diagnostics().empty());
  return std::move(dumps->front().memory);
}

std::vector<ByteState> StatesOf(const Page& page) {
  std::vector<ByteState> states;
  for (const PageExtent& extent : page.extents) {
    states.insert(states.end(), extent.size, extent.state);
  }
  return states;
}

void ExpectSameEvidence(const PhysicalMemory& original, const PhysicalMemory& distilled,
                        const EvidenceRecorder& recorder) {
  const auto context = distilled.MakeContext();
  const auto original_context = original.MakeContext();
  for (uint64_t base = 0; base < 0x10000; base += 0x1000) {
    CAPTURE(base);
    Page wanted, got;
    original.ReadPage(PhysAddr(base), *original_context, wanted);
    distilled.ReadPage(PhysAddr(base), *context, got);
    const std::vector<ByteState> wanted_states = StatesOf(wanted), states = StatesOf(got);
    REQUIRE(states.size() == 4096);
    const WordMask words = recorder.WordsOf(base / kFrameSize);
    for (uint32_t at = 0; at < 4096; ++at) {
      if (words.Test(at / 8)) {
        // The one word of which half is absent is unknown as a whole.
        const bool half = base == 0xa000 && at / 8 == 0x400 / 8;
        REQUIRE(states[at] == (half ? ByteState::kAbsent : wanted_states[at]));
        if (IsReadable(states[at])) REQUIRE(got.bytes[at] == wanted.bytes[at]);
      } else {
        REQUIRE(states[at] == (wanted_states[at] == ByteState::kAbsent ? ByteState::kAbsent
                                                                       : ByteState::kRedacted));
        REQUIRE(got.bytes[at] == std::byte{0});
      }
    }
  }
}

TEST_CASE("what was read reads the same, what was not reads as unknown") {
  const TempDir dir;
  const FakeMemory original = Original();
  EvidenceRecorder recorder;
  recorder.OnRead(PhysAddr(0x1000), 4096);  // a whole table
  recorder.OnRead(PhysAddr(0x2000), 8);     // unreadable evidence, one page of each kind
  recorder.OnRead(PhysAddr(0x3ff8), 8);
  recorder.OnRead(PhysAddr(0x4000), 4096);
  recorder.OnRead(PhysAddr(0x5123), 1);
  recorder.OnRead(PhysAddr(0x6ffc), 8);      // the last and the first word of two pages
  recorder.OnRead(PhysAddr(0xa000), 4096);   // states inside a page
  recorder.OnRead(PhysAddr(0xc010), 16);     // zeros that are data
  recorder.OnRead(PhysAddr(0x20000000), 8);  // not described at all
  const Result<DistillSummary> done = Distill(original, recorder, Request(), dir.File("small"));
  REQUIRE(done);
  CHECK(done->evidence_frames == 10);
  CHECK(done->pages_stored == 5);
  CHECK(dir.Entries() == 1);

  for (const auto& distilled : {Open(dir.File("small")), OpenAsUsersDo(dir.File("small"))}) {
    ExpectSameEvidence(original, *distilled, recorder);
  }
}

// These bytes opened as a dump; nothing when they are refused.
std::unique_ptr<const PhysicalMemory> OpenBytes(std::vector<std::byte> bytes) {
  DiagnosticSink sink;
  Result<Dump> dump = OpenDump(std::make_shared<MemorySource>(std::move(bytes)), "dump", sink);
  return dump ? std::move(dump->memory) : nullptr;
}

// Words that are readable in `damaged`; each must read as in `original` and have been evidence.
size_t ReadableEvidence(const PhysicalMemory& original, const PhysicalMemory& damaged,
                        const EvidenceRecorder& recorder) {
  MemorySession before(original), after(damaged);
  size_t readable = 0;
  for (uint64_t at = 0; at < 0x10000; at += 8) {
    uint64_t wanted = 0, got = 0;
    if (!after.ReadU64(PhysAddr(at), got).ok()) continue;
    REQUIRE(recorder.WordsOf(at / kFrameSize).Test(static_cast<uint32_t>(at % kFrameSize / 8)));
    REQUIRE(before.ReadU64(PhysAddr(at), wanted).ok());
    REQUIRE(got == wanted);
    ++readable;
  }
  return readable;
}

TEST_CASE("a damaged or cut file shows the evidence as it was, or not at all") {
  const TempDir dir;
  const FakeMemory original = Original();
  EvidenceRecorder recorder;
  recorder.OnRead(PhysAddr(0x1000), 4096);
  recorder.OnRead(PhysAddr(0x6ffc), 8);
  recorder.OnRead(PhysAddr(0x8100), 24);
  recorder.OnRead(PhysAddr(0xc010), 16);
  for (const StoreCodec codec : {StoreCodec::kRaw, StoreCodec::kZstd}) {
    DistillRequest request = Request();
    request.options.codec = codec;
    REQUIRE(Distill(original, recorder, request, dir.File("small")));
    const MiniKdump dump(dir.File("small"));
    const std::vector<std::byte>& good = dump.bytes();
    const size_t all = ReadableEvidence(original, *OpenBytes(good), recorder);
    CHECK(all == 512 + 2 + 3 + 2);

    // Padding is long and says nothing: change what is not zero, and every 61st byte of the rest.
    size_t lossless = 0, tried = 0;
    for (size_t at = 0; at < good.size(); ++at) {
      if (good[at] == std::byte{0} && at % 61 != 0) continue;
      if (good[at] == kRedactedByte && at % 61 != 0) continue;
      CAPTURE(at);
      std::vector<std::byte> damaged = good;
      damaged[at] ^= std::byte{static_cast<unsigned char>(1u << at % 8)};
      const auto memory = OpenBytes(std::move(damaged));
      ++tried;
      if (memory == nullptr) continue;
      lossless += ReadableEvidence(original, *memory, recorder) == all ? 1u : 0u;
    }
    CHECK(tried > 200);
    CHECK(lossless < tried);  // some changes matter
    CHECK(lossless > 0);      // some do not: padding
    for (size_t size = 0; size < good.size(); size += 97) {
      CAPTURE(size);
      const auto memory =
          OpenBytes({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
      if (memory != nullptr) CHECK(ReadableEvidence(original, *memory, recorder) < all);
    }
  }
}

TEST_CASE("no byte that was not read is in the file") {
  const TempDir dir;
  FakeMemory original;
  const std::string secret = "a secret between two words";
  original.Write(PhysAddr(0x1100), AsBytes(secret));
  original.WriteU64(PhysAddr(0x1008), 0x1122334455667788);
  EvidenceRecorder recorder;
  recorder.OnRead(PhysAddr(0x1008), 4);
  DistillRequest request = Request();
  request.options.codec = StoreCodec::kRaw;
  REQUIRE(Distill(original, recorder, request, dir.File("small")));
  const MiniKdump dump(dir.File("small"));
  CHECK(AsText(dump.bytes()).find(secret.substr(0, 8)) == std::string_view::npos);
  const std::vector<std::byte> page = dump.PageBytes(*dump.Find(1));
  CHECK(LoadUnchecked<uint64_t>(page, 8) == 0x1122334455667788);
  for (size_t at = 0; at < page.size(); ++at) {
    if (at < 8 || at >= 16) REQUIRE(page[at] == std::byte{0x58});
  }
}

TEST_CASE("the RAM map is that of the original, with stored pages that lie beside it") {
  const TempDir dir;
  FakeMemory original;
  for (const uint64_t base : {0x1000u, 0x3000u, 0x5000u, 0x9000u, 0xf000u}) {
    original.WriteU64(PhysAddr(base), base);
  }
  original.AddRam({PhysAddr(0x2800), PhysAddr(0x37ff)});
  original.AddRam({PhysAddr(0x8000), PhysAddr(0x9fff)});
  EvidenceRecorder recorder;
  for (const uint64_t base : {0x1000u, 0x3000u, 0x5000u, 0x9000u, 0xf000u}) {
    recorder.OnRead(PhysAddr(base), 8);
  }
  REQUIRE(Distill(original, recorder, Request(), dir.File("small")));
  const MiniKdump dump(dir.File("small"));
  std::string ram, stored;
  for (uint64_t pfn = 0; pfn < 16; ++pfn) {
    ram += dump.InBitmap(1, pfn) ? '1' : '0';
    stored += dump.InBitmap(2, pfn) ? '1' : '0';
  }
  CHECK(ram == "0111010011000001");
  CHECK(stored == "0101010001000001");
}

TEST_CASE("hints, provenance and the caller's notes travel; an old distill note does not") {
  const TempDir dir;
  DistillRequest request = Request();
  request.header.notes.push_back({std::string(kDistillNoteName), kDistillNoteType, {}});
  request.header.domainname = "example.org";
  REQUIRE(Distill(Original(), EvidenceRecorder(), request, dir.File("small")));
  const std::vector<DumpNote> notes = MiniKdump(dir.File("small")).Notes();
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].name == "VMCOREINFO");
  const Result<std::optional<DistillNote>> note = FindDistillNote(notes);
  REQUIRE(note);
  REQUIRE(*note);
  CHECK((*note)->hints == request.hints);
  CHECK((*note)->provenance == request.provenance);
}

TEST_CASE("distilled again, unknown stays unknown") {
  const TempDir dir;
  EvidenceRecorder first, second;
  first.OnRead(PhysAddr(0x1000), 16);
  first.OnRead(PhysAddr(0x2000), 8);
  second.OnRead(PhysAddr(0x1008), 16);
  second.OnRead(PhysAddr(0x2000), 16);
  REQUIRE(Distill(Original(), first, Request(), dir.File("one")));
  REQUIRE(Distill(*Open(dir.File("one")), second, Request(), dir.File("two")));
  const auto memory = Open(dir.File("two"));
  MemorySession session(*memory);
  uint64_t value = 0;
  CHECK(session.ReadU64(PhysAddr(0x1000), value).state == ByteState::kRedacted);
  CHECK(session.ReadU64(PhysAddr(0x1008), value).ok());
  CHECK(value == 0x5ec2e70000001008);
  CHECK(session.ReadU64(PhysAddr(0x1010), value).state == ByteState::kRedacted);
  CHECK(session.ReadU64(PhysAddr(0x2000), value).state == ByteState::kExcluded);
  CHECK(session.ReadU64(PhysAddr(0x2008), value).state == ByteState::kRedacted);
}

TEST_CASE("evidence beyond the recorder's limit is refused, not cut") {
  const TempDir dir;
  EvidenceRecorder recorder(1);
  recorder.OnRead(PhysAddr(0x1000), 8192);
  const Result<DistillSummary> done = Distill(Original(), recorder, Request(), dir.File("small"));
  REQUIRE_FALSE(done);
  CHECK(done.error().code == ErrorCode::kLimit);
  CHECK(dir.Entries() == 0);
}

}  // namespace
}  // namespace dmaudit
