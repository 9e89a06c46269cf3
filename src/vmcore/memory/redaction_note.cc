// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/redaction_note.h"

#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"

namespace dmaudit {
namespace {

constexpr uint32_t kVersion = 1;
constexpr uint32_t kFlagZstd = 1;
constexpr size_t kVersionAt = 0;
constexpr size_t kFlagsAt = 4;
constexpr size_t kStoredSizeAt = 8;
constexpr size_t kRawSizeAt = 16;
constexpr size_t kChecksumAt = 24;
constexpr size_t kHeaderSize = 28;
constexpr int kCompressionLevel = 19;  // a few hundred KiB at most, written once

// Codes of the format; the position is the code. They never change their meaning.
constexpr std::array<ByteState, kByteStateCount> kStates = {
    ByteState::kRedacted, ByteState::kData, ByteState::kZero,      ByteState::kExcluded,
    ByteState::kAbsent,   ByteState::kLost, ByteState::kTruncated, ByteState::kCorrupt};

uint64_t CodeOf(ByteState state) {
  const auto it = std::find(kStates.begin(), kStates.end(), state);
  return static_cast<uint64_t>(it - kStates.begin());
}

uint32_t Checksum(std::span<const std::byte> header, std::span<const std::byte> payload) {
  const uint32_t crc = libdeflate_crc32(0, header.data(), kChecksumAt);
  return libdeflate_crc32(crc, payload.data(), payload.size());
}

class Encoder {
 public:
  void Number(uint64_t value) {
    while (value >= 0x80) {
      bytes_.push_back(static_cast<std::byte>(value | 0x80));
      value >>= 7;
    }
    bytes_.push_back(static_cast<std::byte>(value));
  }
  void Word(uint32_t value) {
    bytes_.resize(bytes_.size() + sizeof(value));
    StoreUnchecked<uint32_t>(bytes_, bytes_.size() - sizeof(value), value);
  }
  void Text(std::string_view text) {
    Number(text.size());
    const auto raw = AsBytes(text);
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<uint64_t> Number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) return Fail(ErrorCode::kMalformed, "ends inside a number");
      const uint64_t byte = std::to_integer<uint64_t>(bytes_[at_++]);
      const uint64_t bits = byte & 0x7f;
      if (shift == 63 && bits > 1) break;
      value |= bits << shift;
      if (byte < 0x80) return value;
    }
    return Fail(ErrorCode::kMalformed, "offset {:#x}: number exceeds 64 bits", at_);
  }

  // `count` words of four bytes appended to `out`.
  Status Words(uint64_t count, std::vector<uint32_t>& out) {
    if (count > (bytes_.size() - at_) / sizeof(uint32_t)) {
      return Fail(ErrorCode::kMalformed, "offset {:#x}: {} checksums do not fit", at_, count);
    }
    for (; count > 0; --count, at_ += sizeof(uint32_t)) {
      out.push_back(LoadUnchecked<uint32_t>(bytes_, at_));
    }
    return {};
  }

  // A number of things of which each takes at least `unit` bytes.
  Result<uint64_t> Count(uint64_t unit, uint64_t limit, std::string_view what) {
    const Result<uint64_t> count = Number();
    if (!count) return count;
    if (*count > limit || *count > (bytes_.size() - at_) / unit) {
      return Fail(ErrorCode::kMalformed, "offset {:#x}: {} {} do not fit", at_, *count, what);
    }
    return count;
  }

  Result<std::string> Text() {
    const Result<uint64_t> size = Count(1, UINT64_MAX, "characters");
    if (!size) return tl::unexpected(size.error());
    std::string text(AsText(bytes_.subspan(at_, static_cast<size_t>(*size))));
    at_ += static_cast<size_t>(*size);
    return text;
  }

  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

std::vector<std::byte> Compress(std::span<const std::byte> raw) {
  std::vector<std::byte> packed(ZSTD_compressBound(raw.size()));
  const size_t size =
      ZSTD_compress(packed.data(), packed.size(), raw.data(), raw.size(), kCompressionLevel);
  packed.resize(ZSTD_isError(size) != 0 ? 0 : size);
  return packed;
}

bool RatioAllowed(uint64_t stored, uint64_t raw) { return raw / kMaxDistillPayloadRatio <= stored; }

Result<std::vector<std::byte>> Unpack(std::span<const std::byte> stored, uint64_t raw_size) {
  std::vector<std::byte> raw(static_cast<size_t>(raw_size));
  const size_t size = ZSTD_decompress(raw.data(), raw.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) != 0) {
    return Fail(ErrorCode::kMalformed, "payload: zstd: {}", ZSTD_getErrorName(size));
  }
  if (size != raw.size()) {
    return Fail(ErrorCode::kMalformed, "payload unpacks to {} bytes, expected {}", size, raw_size);
  }
  return raw;
}

Status DecodeMap(Decoder& decoder, RedactionMap& map) {
  const Result<uint64_t> runs = decoder.Count(4, UINT64_MAX, "frame runs");
  if (!runs) return tl::unexpected(runs.error());
  uint64_t end = 0;
  std::vector<WordRun> layout;
  std::vector<uint32_t> checksums;
  for (uint64_t i = 0; i < *runs; ++i) {
    const Result<uint64_t> gap = decoder.Number();
    if (!gap) return tl::unexpected(gap.error());
    const Result<uint64_t> count = decoder.Number();
    if (!count) return tl::unexpected(count.error());
    if (*gap >= kFrameCount - end || *count > UINT32_MAX) {
      return Fail(ErrorCode::kMalformed, "frame run {}: leaves the address space", i);
    }
    const Result<uint64_t> words = decoder.Count(1, kWordsPerFrame, "word runs");
    if (!words) return tl::unexpected(words.error());
    layout.clear();
    for (uint64_t w = 0; w < *words; ++w) {
      const Result<uint64_t> word = decoder.Number();
      if (!word) return tl::unexpected(word.error());
      if (*word >> 3 > kWordsPerFrame) {
        return Fail(ErrorCode::kMalformed, "frame run {}: {} words in a frame", i, *word >> 3);
      }
      layout.push_back({static_cast<uint16_t>(*word >> 3), kStates[*word & 7]});
    }
    checksums.clear();
    if (KeepsWords(layout)) {
      if (const Status read = decoder.Words(*count, checksums); !read) return read;
    }
    const uint64_t first = end + *gap;
    const Status added = map.Append(first, static_cast<uint32_t>(*count), layout, checksums);
    if (!added) return added;
    end = first + *count;
  }
  return {};
}

Result<DistillNote> DecodePayload(std::span<const std::byte> payload) {
  Decoder decoder(payload);
  DistillNote note;
  if (const Status map = DecodeMap(decoder, note.map); !map) return tl::unexpected(map.error());
  const Result<uint64_t> hints = decoder.Count(2, kMaxHints, "hints");
  if (!hints) return tl::unexpected(hints.error());
  for (uint64_t i = 0; i < *hints; ++i) {
    Result<std::string> name = decoder.Text();
    if (!name) return tl::unexpected(name.error());
    Result<std::string> value = decoder.Text();
    if (!value) return tl::unexpected(value.error());
    if (!note.hints.empty() && *name <= note.hints.rbegin()->first) {
      return Fail(ErrorCode::kMalformed, "hint {}: names are not ascending", i);
    }
    note.hints.emplace_hint(note.hints.end(), std::move(*name), std::move(*value));
  }
  const Result<uint64_t> lines = decoder.Count(1, kMaxProvenanceLines, "provenance lines");
  if (!lines) return tl::unexpected(lines.error());
  for (uint64_t i = 0; i < *lines; ++i) {
    Result<std::string> line = decoder.Text();
    if (!line) return tl::unexpected(line.error());
    note.provenance.push_back(std::move(*line));
  }
  if (!decoder.at_end()) return Fail(ErrorCode::kMalformed, "bytes behind the provenance lines");
  return note;
}

}  // namespace

Result<std::vector<std::byte>> EncodeDistillNote(const DistillNote& note) {
  if (note.hints.size() > kMaxHints || note.provenance.size() > kMaxProvenanceLines) {
    return Fail(ErrorCode::kLimit, "distill note: {} hints and {} provenance lines",
                note.hints.size(), note.provenance.size());
  }
  Encoder encoder;
  encoder.Number(note.map.runs().size());
  uint64_t end = 0;
  for (const RedactionMap::FrameRun& run : note.map.runs()) {
    encoder.Number(run.first - end);
    encoder.Number(run.count);
    encoder.Number(run.layout_size);
    for (const WordRun& words : note.map.LayoutOf(run)) {
      encoder.Number(uint64_t{words.count} << 3 | CodeOf(words.state));
    }
    for (const uint32_t checksum : note.map.ChecksumsOf(run)) encoder.Word(checksum);
    end = run.first + run.count;
  }
  encoder.Number(note.hints.size());
  for (const auto& [name, value] : note.hints) {
    encoder.Text(name);
    encoder.Text(value);
  }
  encoder.Number(note.provenance.size());
  for (const std::string& line : note.provenance) encoder.Text(line);

  const std::vector<std::byte>& raw = encoder.bytes();
  if (raw.size() > kMaxDistillPayload) {
    return Fail(ErrorCode::kLimit, "distill note: {} bytes, limit {}", raw.size(),
                kMaxDistillPayload);
  }
  const std::vector<std::byte> packed = Compress(raw);
  const bool use_packed =
      !packed.empty() && packed.size() < raw.size() && RatioAllowed(packed.size(), raw.size());
  const std::vector<std::byte>& stored = use_packed ? packed : raw;

  std::vector<std::byte> out(kHeaderSize);
  StoreUnchecked<uint32_t>(out, kVersionAt, kVersion);
  StoreUnchecked<uint32_t>(out, kFlagsAt, use_packed ? kFlagZstd : 0);
  StoreUnchecked<uint64_t>(out, kStoredSizeAt, stored.size());
  StoreUnchecked<uint64_t>(out, kRawSizeAt, raw.size());
  StoreUnchecked<uint32_t>(out, kChecksumAt, Checksum(out, stored));
  out.insert(out.end(), stored.begin(), stored.end());
  return out;
}

Result<DistillNote> DecodeDistillNote(std::span<const std::byte> descriptor) {
  if (descriptor.size() < sizeof(uint32_t)) {
    return Fail(ErrorCode::kMalformed, "distill note: {} bytes", descriptor.size());
  }
  const uint32_t version = LoadUnchecked<uint32_t>(descriptor, kVersionAt);
  if (version != kVersion) {
    return Fail(ErrorCode::kUnsupported, "distill note: version {}, this program knows {}", version,
                kVersion);
  }
  if (descriptor.size() < kHeaderSize) {
    return Fail(ErrorCode::kMalformed, "distill note: {} bytes, expected {} or more",
                descriptor.size(), kHeaderSize);
  }
  const uint32_t flags = LoadUnchecked<uint32_t>(descriptor, kFlagsAt);
  const uint64_t stored_size = LoadUnchecked<uint64_t>(descriptor, kStoredSizeAt);
  const uint64_t raw_size = LoadUnchecked<uint64_t>(descriptor, kRawSizeAt);
  const std::span<const std::byte> stored = descriptor.subspan(kHeaderSize);
  if (stored_size != stored.size()) {
    return Fail(ErrorCode::kMalformed, "distill note: payload size is {}, expected {}", stored_size,
                stored.size());
  }
  if (Checksum(descriptor, stored) != LoadUnchecked<uint32_t>(descriptor, kChecksumAt)) {
    return Fail(ErrorCode::kMalformed, "distill note: checksum does not match");
  }
  if ((flags & ~kFlagZstd) != 0) {
    return Fail(ErrorCode::kUnsupported, "distill note: flags {:#x}", flags);
  }
  if (raw_size > kMaxDistillPayload) {
    return Fail(ErrorCode::kLimit, "distill note: {} bytes, limit {}", raw_size,
                kMaxDistillPayload);
  }
  const bool is_packed = (flags & kFlagZstd) != 0;
  if (is_packed ? !RatioAllowed(stored_size, raw_size) : raw_size != stored_size) {
    return Fail(ErrorCode::kMalformed, "distill note: {} bytes unpacked from {}", raw_size,
                stored_size);
  }
  std::vector<std::byte> unpacked;
  if (is_packed) {
    Result<std::vector<std::byte>> raw = Unpack(stored, raw_size);
    if (!raw) return Within("distill note", raw.error());
    unpacked = std::move(*raw);
  }
  Result<DistillNote> note = DecodePayload(is_packed ? unpacked : stored);
  if (!note) return Within("distill note", note.error());
  return note;
}

Result<std::optional<DistillNote>> FindDistillNote(std::span<const DumpNote> notes) {
  std::optional<DistillNote> found;
  for (const DumpNote& note : notes) {
    if (note.name != kDistillNoteName) continue;
    if (note.type != kDistillNoteType) {
      return Fail(ErrorCode::kUnsupported, "distill note: type {}, this program knows {}",
                  note.type, kDistillNoteType);
    }
    if (found) return Fail(ErrorCode::kMalformed, "distill note: more than one");
    Result<DistillNote> decoded = DecodeDistillNote(note.descriptor);
    if (!decoded) return tl::unexpected(decoded.error());
    found = std::move(*decoded);
  }
  return found;
}

}  // namespace dmaudit
