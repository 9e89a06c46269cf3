// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/redaction_note.h"

#include <doctest/doctest.h>
#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <initializer_list>

#include "base/bytes.h"

namespace dmaudit {
namespace {

using Bytes = std::vector<std::byte>;

const std::vector<WordRun> kWhole = {{512, ByteState::kData}};

DistillNote Sample() {
  DistillNote note;
  std::vector<uint32_t> checksums(300);
  for (uint32_t& checksum : checksums)
    checksum = static_cast<uint32_t>(&checksum - checksums.data()) * 0x01010101;
  const std::span<const uint32_t> one = std::span(checksums).subspan(7, 1);
  const std::vector<WordRun> every = {{1, ByteState::kRedacted},  {1, ByteState::kData},
                                      {1, ByteState::kZero},      {1, ByteState::kExcluded},
                                      {1, ByteState::kAbsent},    {1, ByteState::kLost},
                                      {1, ByteState::kTruncated}, {505, ByteState::kCorrupt}};
  const std::vector<WordRun> excluded = {{512, ByteState::kExcluded}};
  REQUIRE(note.map.Append(0, 1, kWhole, one));
  REQUIRE(note.map.Append(7, 300, kWhole, checksums));
  REQUIRE(note.map.Append(400, 1, every, one));
  REQUIRE(note.map.Append(401, 1, excluded, {}));
  REQUIRE(note.map.Append(kFrameCount - 1, 1, kWhole, one));
  note.hints = {{"banner", std::string("\x00\xff x", 4)}, {"kallsyms", "0x1f4000"}};
  note.provenance = {"dmaudit 0.1.0", "kdump-compressed"};
  return note;
}

bool SameMap(const RedactionMap& a, const RedactionMap& b) {
  if (a.runs().size() != b.runs().size()) return false;
  for (size_t i = 0; i < a.runs().size(); ++i) {
    const auto &x = a.runs()[i], &y = b.runs()[i];
    if (x.first != y.first || x.count != y.count) return false;
    if (!std::ranges::equal(a.LayoutOf(x), b.LayoutOf(y))) return false;
    if (!std::ranges::equal(a.ChecksumsOf(x), b.ChecksumsOf(y))) return false;
  }
  return true;
}

// A descriptor around any payload, as a hostile writer would make it: right sizes, right checksum.
Bytes Descriptor(const Bytes& stored, uint64_t raw_size, uint32_t flags = 0, uint32_t version = 1) {
  Bytes out(28);
  StoreUnchecked<uint32_t>(out, 0, version);
  StoreUnchecked<uint32_t>(out, 4, flags);
  StoreUnchecked<uint64_t>(out, 8, stored.size());
  StoreUnchecked<uint64_t>(out, 16, raw_size);
  const uint32_t crc = libdeflate_crc32(0, out.data(), 24);
  StoreUnchecked<uint32_t>(out, 24, libdeflate_crc32(crc, stored.data(), stored.size()));
  out.insert(out.end(), stored.begin(), stored.end());
  return out;
}

Bytes Payload(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}
// A number of one frame's words (512 << 3 | state code) takes two bytes.
constexpr unsigned kWholeLow = 0x81, kWholeHigh = 0x20;

Bytes Zstd(const Bytes& raw) {
  Bytes out(ZSTD_compressBound(raw.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), 1));
  return out;
}

TEST_CASE("a note comes back as it was written") {
  const DistillNote note = Sample();
  const Result<Bytes> descriptor = EncodeDistillNote(note);
  REQUIRE(descriptor);
  const Result<DistillNote> back = DecodeDistillNote(*descriptor);
  REQUIRE(back);
  CHECK(SameMap(note.map, back->map));
  CHECK(note.hints == back->hints);
  CHECK(note.provenance == back->provenance);

  const Result<Bytes> empty = EncodeDistillNote({});
  REQUIRE(empty);
  REQUIRE(DecodeDistillNote(*empty));
}

TEST_CASE("scattered frames take a few bytes each, and a large note stays readable") {
  DistillNote note;
  constexpr uint32_t kFrames = 100000;
  for (uint32_t i = 0; i < kFrames; ++i) {
    const uint32_t checksum = i * 0x9e3779b9;  // looks like noise
    REQUIRE(note.map.Append(uint64_t{i} * 3, 1, kWhole, std::span(&checksum, 1)));
  }
  const Result<Bytes> descriptor = EncodeDistillNote(note);
  REQUIRE(descriptor);
  CHECK(descriptor->size() < kFrames * 6);
  const Result<DistillNote> back = DecodeDistillNote(*descriptor);
  REQUIRE(back);
  CHECK(SameMap(note.map, back->map));
}

TEST_CASE("every cut of a note is refused") {
  const Bytes descriptor = EncodeDistillNote(Sample()).value();
  for (size_t size = 0; size < descriptor.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(DecodeDistillNote(std::span(descriptor).first(size)));
  }
  Bytes longer = descriptor;
  longer.push_back(std::byte{0});
  CHECK_FALSE(DecodeDistillNote(longer));
}

TEST_CASE("every changed byte of a note is refused") {
  const Bytes descriptor = EncodeDistillNote(Sample()).value();
  size_t accepted = 0;
  for (size_t at = 0; at < descriptor.size(); ++at) {
    for (unsigned change = 1; change < 256; ++change) {
      Bytes damaged = descriptor;
      damaged[at] ^= static_cast<std::byte>(change);
      accepted += DecodeDistillNote(damaged) ? 1u : 0u;
    }
  }
  CHECK(accepted == 0);
}

TEST_CASE("a hostile payload with a right checksum is refused, or says no more than it holds") {
  // The same changes, with the checksum made right again: whatever is accepted is well formed.
  const Bytes descriptor = EncodeDistillNote(Sample()).value();
  const Result<DistillNote> sample = DecodeDistillNote(descriptor);
  REQUIRE(sample);
  // Uncompressed, so that the changes reach the parser.
  Bytes stored(descriptor.begin() + 28, descriptor.end());
  if (LoadUnchecked<uint32_t>(descriptor, 4) != 0) {
    Bytes raw(LoadUnchecked<uint64_t>(descriptor, 16));
    REQUIRE(ZSTD_decompress(raw.data(), raw.size(), stored.data(), stored.size()) == raw.size());
    stored = raw;
  }
  for (size_t size = 0; size < stored.size(); ++size) {
    const Bytes cut(stored.begin(), stored.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(DecodeDistillNote(Descriptor(cut, cut.size())));
  }
  for (size_t at = 0; at < stored.size(); ++at) {
    for (unsigned change = 1; change < 256; ++change) {
      Bytes damaged = stored;
      damaged[at] ^= static_cast<std::byte>(change);
      const Result<DistillNote> note = DecodeDistillNote(Descriptor(damaged, damaged.size()));
      if (!note) continue;
      uint64_t end = 0;
      for (const RedactionMap::FrameRun& run : note->map.runs()) {
        REQUIRE(run.first >= end);
        end = run.first + run.count;
        REQUIRE(end <= kFrameCount);
        uint32_t words = 0;
        for (const WordRun& word : note->map.LayoutOf(run)) words += word.count;
        REQUIRE(words == kWordsPerFrame);
      }
    }
  }
}

TEST_CASE("lies about sizes, counts and order are refused") {
  const Bytes good = Payload({1, 5, 1, 1, kWholeLow, kWholeHigh, 1, 2, 3, 4, 0, 0});
  REQUIRE(DecodeDistillNote(Descriptor(good, good.size())));

  struct Case {
    const char* name;
    Bytes payload;
  };
  const std::vector<Case> cases = {
      {"count of runs beyond the payload", Payload({0xff, 0xff, 0xff, 0xff, 0x0f})},
      {"number of more than 64 bits",
       Payload({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02})},
      {"number without end", Bytes(16, std::byte{0xff})},
      {"run of no frames", Payload({1, 5, 0, 1, kWholeLow, kWholeHigh, 1, 2, 3, 4, 0, 0})},
      {"no word runs", Payload({1, 5, 1, 0, 0, 0, 0, 0})},
      {"words short of a frame", Payload({1, 5, 1, 1, 0xf9, 0x1f, 1, 2, 3, 4, 0, 0})},
      {"words beyond a frame", Payload({1, 5, 1, 1, 0x89, 0x20, 1, 2, 3, 4, 0, 0})},
      {"frame beyond the last", Payload({1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x08, 1, 1,
                                         kWholeLow, kWholeHigh, 1, 2, 3, 4, 0, 0})},
      {"run beyond the last frame", Payload({1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x07, 2,
                                             1, kWholeLow, kWholeHigh, 1, 2, 3, 4, 0, 0})},
      {"run of 2^32 frames",
       Payload({1, 5, 0x80, 0x80, 0x80, 0x80, 0x10, 1, kWholeLow, kWholeHigh, 1, 2, 3, 4, 0, 0})},
      {"checksum cut", Payload({1, 5, 1, 1, kWholeLow, kWholeHigh, 1, 2, 3})},
      {"checksums beyond the payload",
       Payload({1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, kWholeLow, kWholeHigh, 1, 2, 3, 4, 0, 0})},
      {"hint longer than the payload", Payload({0, 1, 0x7f, 'a', 0, 0})},
      {"hint twice", Payload({0, 2, 1, 'a', 0, 1, 'a', 0, 0})},
      {"hints not ascending", Payload({0, 2, 1, 'b', 0, 1, 'a', 0, 0})},
      {"provenance missing", Payload({0, 0})},
      {"bytes behind the end", Payload({0, 0, 0, 0})},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Result<DistillNote> note = DecodeDistillNote(Descriptor(c.payload, c.payload.size()));
    REQUIRE_FALSE(note);
    CHECK(note.error().code == ErrorCode::kMalformed);
  }
}

TEST_CASE("versions and flags of the future are unsupported, not guessed at") {
  const Bytes good = Payload({0, 0, 0});
  REQUIRE(DecodeDistillNote(Descriptor(good, 3)));
  for (const uint32_t version : {0u, 2u, 0xffffffffu}) {
    const Result<DistillNote> note = DecodeDistillNote(Descriptor(good, 3, 0, version));
    REQUIRE_FALSE(note);
    CHECK(note.error().code == ErrorCode::kUnsupported);
  }
  const Result<DistillNote> note = DecodeDistillNote(Descriptor(good, 3, 2));
  REQUIRE_FALSE(note);
  CHECK(note.error().code == ErrorCode::kUnsupported);
}

TEST_CASE("a payload cannot claim more memory than its size in the file allows") {
  const Bytes zeros(1 << 20);
  const Bytes bomb = Zstd(zeros);
  REQUIRE(bomb.size() * kMaxDistillPayloadRatio < zeros.size());
  CHECK_FALSE(DecodeDistillNote(Descriptor(bomb, zeros.size(), 1)));
  CHECK_FALSE(DecodeDistillNote(Descriptor(bomb, bomb.size(), 1)));      // says less than there is
  CHECK_FALSE(DecodeDistillNote(Descriptor(Payload({0, 0, 0}), 3, 1)));  // not zstd at all
  CHECK_FALSE(DecodeDistillNote(Descriptor(Payload({0, 0, 0}), 4, 0)));
  CHECK_FALSE(DecodeDistillNote(Descriptor(Payload({0, 0, 0}), UINT64_MAX, 1)));
  // More than the writer would ever make.
  Bytes incompressible(1 << 20);
  const Result<DistillNote> large =
      DecodeDistillNote(Descriptor(incompressible, kMaxDistillPayload + 1, 1));
  REQUIRE_FALSE(large);
  CHECK(large.error().code == ErrorCode::kLimit);
}

TEST_CASE("hints and provenance lines have their limits: at, and above") {
  DistillNote note;
  for (uint64_t i = 0; i < kMaxHints; ++i) note.hints[fmt::format("{:05}", i)] = "v";
  note.provenance.assign(kMaxProvenanceLines, "line");
  const Result<Bytes> full = EncodeDistillNote(note);
  REQUIRE(full);
  REQUIRE(DecodeDistillNote(*full));
  DistillNote hints = note;
  hints.hints["more"] = "v";
  CHECK_FALSE(EncodeDistillNote(hints));
  DistillNote lines = note;
  lines.provenance.push_back("line");
  CHECK_FALSE(EncodeDistillNote(lines));
}

TEST_CASE("a note that compresses beyond the ratio is stored so that it can be read again") {
  DistillNote note;
  note.hints["long"] = std::string(1 << 20, 'a');
  const Result<Bytes> descriptor = EncodeDistillNote(note);
  REQUIRE(descriptor);
  const Result<DistillNote> back = DecodeDistillNote(*descriptor);
  REQUIRE(back);
  CHECK(back->hints == note.hints);
  note.hints["long"] = std::string(kMaxDistillPayload, 'a');
  const Result<Bytes> over = EncodeDistillNote(note);
  REQUIRE_FALSE(over);
  CHECK(over.error().code == ErrorCode::kLimit);
}

}  // namespace
}  // namespace dmaudit
