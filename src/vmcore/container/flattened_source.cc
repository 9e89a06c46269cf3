// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/flattened_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/sort/pdqsort/pdqsort.hpp>
#include <cstring>
#include <queue>
#include <utility>

#include "base/bytes.h"

namespace dmaudit {
namespace {

// makedumpfile makedumpfile.h: struct makedumpfile_header, filled up to 4 KiB, and
// makedumpfile_data_header; all big-endian.
constexpr size_t kSignatureSize = 16;
constexpr size_t kTypeOffset = 16;
constexpr size_t kVersionOffset = 24;
constexpr uint64_t kHeaderSize = 4096;
constexpr uint64_t kRecordHeader = 16;
constexpr int64_t kEndMark = -1;

// Where records are small, reading all of the stream beats a call for each header.
constexpr uint64_t kSmallStride = 4096;
constexpr size_t kLargeWindow = size_t{256} << 10;
constexpr size_t kSmallWindow = 64;

// Writers write no record of no bytes.
constexpr uint64_t kMaxEmptyRecords = uint64_t{1} << 20;
// Writers write what they hold in a buffer.
constexpr int64_t kMaxRecord = int64_t{1} << 30;

int64_t LoadSigned(std::span<const std::byte> bytes, size_t offset) {
  return static_cast<int64_t>(LoadUnchecked<uint64_t>(bytes, offset, ByteOrder::kBig));
}

// Record headers in ascending order, through one buffer.
class HeaderReader {
 public:
  explicit HeaderReader(const ByteSource& stream)
      : stream_(stream),
        buffer_(
            static_cast<size_t>(std::clamp<uint64_t>(stream.size(), kSmallWindow, kLargeWindow))) {}

  // The header at `offset`, empty when the stream ends before its end. Valid until the next call.
  Result<std::span<const std::byte>> Read(uint64_t offset) {
    if (offset < start_ || offset + kRecordHeader > start_ + filled_) {
      const bool small = offset - last_ < kSmallStride;
      start_ = offset;
      filled_ = 0;
      const auto read = [&](size_t size) {
        return stream_.ReadAt(FileOffset(offset), std::span(buffer_).first(size));
      };
      Result<size_t> got = read(small ? buffer_.size() : kSmallWindow);
      // What fails can be what lies behind.
      if (!got) got = read(kRecordHeader);
      if (!got) return tl::unexpected<Error>(got.error());
      filled_ = *got;
      if (filled_ < kRecordHeader) return std::span<const std::byte>();
    }
    last_ = offset;
    return std::span<const std::byte>(buffer_).subspan(static_cast<size_t>(offset - start_),
                                                       kRecordHeader);
  }

 private:
  const ByteSource& stream_;
  std::vector<std::byte> buffer_;
  uint64_t start_ = 0;
  uint64_t filled_ = 0;
  uint64_t last_ = 0;
};

}  // namespace

Result<std::shared_ptr<const FlattenedSource>> FlattenedSource::Open(
    std::shared_ptr<const ByteSource> stream, const std::string& path, DiagnosticSink& sink) {
  std::array<std::byte, kVersionOffset + 8> header{};
  const Result<size_t> got = stream->ReadAt(FileOffset(0), header);
  if (!got) return tl::unexpected<Error>(got.error());
  if (*got < header.size()) {
    return Fail(ErrorCode::kMalformed, "{}: flattened header: the file ends at {:#x}", path, *got);
  }
  const int64_t type = LoadSigned(header, kTypeOffset);
  const int64_t version = LoadSigned(header, kVersionOffset);
  if (type != 1 || version != 1) {
    return Fail(ErrorCode::kUnsupported,
                "{}: flattened header at {:#x}: type {} version {}, expected 1 and 1", path,
                kSignatureSize, type, version);
  }
  const uint64_t size = stream->size();
  const std::shared_ptr<FlattenedSource> source(new FlattenedSource(std::move(stream), size));
  if (const Status read = source->ReadRecords(path, sink); !read) {
    return tl::unexpected<Error>(read.error());
  }
  if (source->pieces_.empty()) {
    return Fail(ErrorCode::kMalformed, "{}: flattened stream without a record{}", path,
                source->records_ == 0 ? "" : " that can be believed");
  }
  source->SortPieces();
  source->JoinRuns();
  source->size_ = source->runs_.back().end;
  return std::shared_ptr<const FlattenedSource>(source);
}

Status FlattenedSource::ReadRecords(const std::string& path, DiagnosticSink& sink) {
  HeaderReader headers(*stream_);
  uint64_t at = kHeaderSize;
  uint64_t empty = 0;
  const auto cut = [&](std::string_view why) {
    cut_ = true;
    sink.Incomplete("flattened.cut",
                    "{}: flattened stream is cut at {:#x}, after {} records: {}; what it did not "
                    "get to is unknown",
                    path, at, records_, why);
    return Status();
  };
  // Where no record can be, either its header is damaged or the size of the one before it: what is
  // in that one is not known then.
  bool empty_before = true;
  const auto astray = [&](std::string_view why) {
    if (!empty_before) pieces_.pop_back();
    return cut(fmt::format("{}; nor is the record before it used, whose size led there", why));
  };
  for (;;) {
    const Result<std::span<const std::byte>> header = headers.Read(at);
    if (!header) return cut("what is there cannot be read");
    if (header->empty()) return cut("the file ends there without an end record");
    const int64_t target = LoadSigned(*header, 0);
    const int64_t size = LoadSigned(*header, 8);
    if (target == kEndMark && size == kEndMark) {
      const Result<std::span<const std::byte>> behind = headers.Read(at + kRecordHeader);
      if (behind && !IsAllZero(*behind)) return astray("an end record, and more behind it");
      return {};
    }
    if (target < 0 || size < 0 || size > kMaxRecord || size > INT64_MAX - target) {
      return astray(fmt::format("a record of size {:#x} for position {:#x}",
                                static_cast<uint64_t>(size), static_cast<uint64_t>(target)));
    }
    // A page of zeros, or a hole of the file, reads as such records.
    if (target == 0 && size == 0) return astray("zeros where a record should be");
    const uint64_t source = at + kRecordHeader;
    const uint64_t bytes = static_cast<uint64_t>(size);
    ++records_;
    const uint64_t there = std::min(bytes, stream_size_ - std::min(source, stream_size_));
    empty_before = there == 0;
    if (there != 0) {
      pieces_.push_back({static_cast<uint64_t>(target), there, source});
    } else if (bytes == 0 && ++empty > kMaxEmptyRecords) {
      return cut(fmt::format("more than {} of them without a byte", kMaxEmptyRecords));
    }
    if (there < bytes) return cut("the file ends within a record");
    at = source + bytes;
  }
}

void FlattenedSource::SortPieces() {
  // By position, equal ones in the order of the stream; without a branch, which the sort makes
  // use of.
  const auto before = [](const Piece& a, const Piece& b) {
    return (a.target < b.target) | ((a.target == b.target) & (a.source < b.source));
  };
  if (!std::is_sorted(pieces_.begin(), pieces_.end(), before)) {
    boost::sort::pdqsort_branchless(pieces_.begin(), pieces_.end(), before);
  }
  const auto overlap = [](const Piece& a, const Piece& b) { return b.target - a.target < a.size; };
  if (std::adjacent_find(pieces_.begin(), pieces_.end(), overlap) != pieces_.end()) {
    ResolveOverlaps();
  }
}

void FlattenedSource::ResolveOverlaps() {
  // A sweep over the positions. `open` holds the records that may cover the current one, the latest
  // of the stream on top; those that end earlier are dropped when they come up.
  const auto earlier = [](const Piece& a, const Piece& b) { return a.source < b.source; };
  std::priority_queue<Piece, std::vector<Piece>, decltype(earlier)> open(earlier);
  std::vector<Piece> out;
  out.reserve(pieces_.size());
  size_t next = 0;
  uint64_t at = 0;
  while (next < pieces_.size() || !open.empty()) {
    if (open.empty()) at = pieces_[next].target;
    for (; next < pieces_.size() && pieces_[next].target <= at; ++next) open.push(pieces_[next]);
    while (!open.empty() && open.top().target + open.top().size <= at) open.pop();
    if (open.empty()) continue;
    const Piece& top = open.top();
    uint64_t end = top.target + top.size;
    if (next < pieces_.size()) end = std::min(end, pieces_[next].target);
    const uint64_t source = top.source + (at - top.target);
    Piece* last = out.empty() ? nullptr : &out.back();
    if (last != nullptr && last->target + last->size == at && last->source + last->size == source) {
      last->size += end - at;
    } else {
      out.push_back({at, end - at, source});
    }
    at = end;
  }
  pieces_ = std::move(out);
}

void FlattenedSource::JoinRuns() {
  for (const Piece& piece : pieces_) {
    const uint64_t end = piece.target + piece.size;
    if (!runs_.empty() && runs_.back().end == piece.target) {
      runs_.back().end = end;
    } else {
      runs_.push_back({piece.target, end});
    }
  }
}

size_t FlattenedSource::FirstEndingBehind(uint64_t offset) const {
  const auto it = std::partition_point(
      pieces_.begin(), pieces_.end(),
      [offset](const Piece& piece) { return piece.target + piece.size <= offset; });
  return static_cast<size_t>(it - pieces_.begin());
}

Result<size_t> FlattenedSource::ReadAt(FileOffset offset, std::span<std::byte> out) const {
  const uint64_t from = offset.value();
  if (from >= size_) return size_t{0};
  out = out.first(static_cast<size_t>(std::min<uint64_t>(out.size(), size_ - from)));
  size_t done = 0;
  for (size_t i = FirstEndingBehind(from); done < out.size(); ++i) {
    // Below size_, so there is a piece.
    const Piece& piece = pieces_[i];
    const uint64_t at = from + done;
    if (at < piece.target) {
      if (cut_) return done;
      const size_t gap =
          static_cast<size_t>(std::min<uint64_t>(piece.target - at, out.size() - done));
      std::memset(out.data() + done, 0, gap);
      done += gap;
      if (done == out.size()) break;
    }
    const uint64_t skip = from + done - piece.target;
    const size_t want =
        static_cast<size_t>(std::min<uint64_t>(piece.size - skip, out.size() - done));
    const Result<size_t> got =
        stream_->ReadAt(FileOffset(piece.source + skip), out.subspan(done, want));
    if (!got) return got;
    done += *got;
    if (*got < want) return done;
  }
  return done;
}

FileOffset FlattenedSource::SkipHole(FileOffset offset) const {
  constexpr uint64_t kLeastHole = 4096;  // of a file system
  uint64_t at = offset.value();
  if (cut_ || at >= size_) return offset;
  for (size_t i = FirstEndingBehind(at); i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    at = std::max(at, piece.target);
    const uint64_t left = piece.target + piece.size - at;
    if (left < kLeastHole) break;
    const FileOffset place(piece.source + (at - piece.target));
    const uint64_t hole = stream_->SkipHole(place).value() - place.value();
    if (hole < left) return FileOffset(at + hole);
    at += left;
  }
  return FileOffset(at);
}

FileOffset FlattenedSource::EndOfGap(FileOffset offset) const {
  if (offset.value() >= size_) return offset;
  return FileOffset(std::max(offset.value(), pieces_[FirstEndingBehind(offset.value())].target));
}

FileOffset FlattenedSource::FirstGap(FileOffset offset, uint64_t size) const {
  const uint64_t at = offset.value();
  const FileOffset end(at + size);
  if (at >= size_) return end;
  const auto run =
      std::partition_point(runs_.begin(), runs_.end(), [at](const Run& r) { return r.end <= at; });
  if (run->first > at) return size == 0 ? end : offset;
  return run->end == size_ ? end : FileOffset(std::min(end.value(), run->end));
}

}  // namespace dmaudit
