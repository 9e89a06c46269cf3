// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/page_bitmap.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/bytes.h"

namespace dmaudit {

Result<PageBitmap> PageBitmap::Load(const ByteSource& source, FileOffset offset, uint64_t bits) {
  PageBitmap bitmap;
  const uint64_t bytes = bits / 8 + (bits % 8 != 0 ? 1 : 0);
  if (!offset.Plus(bytes)) {
    return Fail(ErrorCode::kMalformed, "page bitmap at {:#x}: {:#x} bytes leave the file",
                offset.value(), bytes);
  }
  // Large enough that the calls do not show beside the counting.
  std::vector<std::byte> buffer(
      static_cast<size_t>(std::min<uint64_t>(bytes + kChunkBytes, 256 * kChunkBytes)));
  buffer.resize(buffer.size() / kChunkBytes * kChunkBytes);
  std::array<uint64_t, kChunkWords> words{};
  for (uint64_t done = 0; done < bytes;) {
    const uint64_t data = source.SkipHole(FileOffset(offset.value() + done)).value();
    done = std::max(done, (data - offset.value()) / kChunkBytes * kChunkBytes);
    if (done >= bytes) break;
    const size_t want = static_cast<size_t>(std::min<uint64_t>(bytes - done, buffer.size()));
    const Result<size_t> got =
        source.ReadAt(FileOffset(offset.value() + done), std::span(buffer).first(want));
    if (!got) return tl::unexpected(got.error());
    std::fill(buffer.begin() + static_cast<ptrdiff_t>(*got), buffer.end(), std::byte{0});
    // Bits behind the last one are not part of the bitmap.
    if (done + *got == bytes && bits % 8 != 0) {
      buffer[*got - 1] &= static_cast<std::byte>((1u << (bits % 8)) - 1);
    }
    for (uint64_t at = 0; at < *got; at += kChunkBytes) {
      uint64_t any = 0;
      for (size_t i = 0; i < kChunkWords; ++i) {
        words[i] = LoadUnchecked<uint64_t>(buffer, static_cast<size_t>(at) + i * 8);
        any |= words[i];
      }
      if (any == 0) continue;
      const uint64_t chunk = (done + at) / kChunkBytes;
      bitmap.AppendChunk(chunk, words.data());
    }
    if (*got < want) {
      bitmap.known_ = (done + *got) * 8;
      return bitmap;
    }
    done += want;
  }
  bitmap.known_ = bits;
  return bitmap;
}

void PageBitmap::AppendChunk(uint64_t chunk, const uint64_t* words) {
  uint64_t set = 0;
  for (uint64_t i = 0; i < kChunkWords; ++i) set += static_cast<uint64_t>(std::popcount(words[i]));
  if (set == 0) return;
  const uint64_t rank = count_;
  count_ += set;
  if (set < kChunkBits) {
    spans_.push_back({chunk, 1, rank, words_.size()});
    words_.insert(words_.end(), words, words + kChunkWords);
    return;
  }
  if (!spans_.empty() && spans_.back().words == kAllSet &&
      spans_.back().chunk + spans_.back().chunks == chunk) {
    ++spans_.back().chunks;
  } else {
    spans_.push_back({chunk, 1, rank, kAllSet});
  }
}

const PageBitmap::Span* PageBitmap::Find(uint64_t chunk) const {
  auto it = std::upper_bound(spans_.begin(), spans_.end(), chunk,
                             [](uint64_t c, const Span& span) { return c < span.chunk; });
  if (it == spans_.begin()) return nullptr;
  --it;
  return chunk - it->chunk < it->chunks ? &*it : nullptr;
}

bool PageBitmap::Test(uint64_t bit) const {
  const Span* span = Find(bit / kChunkBits);
  return span != nullptr && (Word(*span, bit % kChunkBits / 64) >> (bit % 64) & 1) != 0;
}

uint64_t PageBitmap::Rank(uint64_t bit) const {
  const uint64_t chunk = bit / kChunkBits;
  auto it = std::upper_bound(spans_.begin(), spans_.end(), chunk,
                             [](uint64_t c, const Span& span) { return c < span.chunk; });
  if (it == spans_.begin()) return 0;
  const Span& span = *--it;
  if (chunk - span.chunk >= span.chunks) return ++it == spans_.end() ? count_ : it->rank;
  if (span.words == kAllSet) return span.rank + (bit - span.chunk * kChunkBits);
  uint64_t rank = span.rank;
  const uint64_t word = bit % kChunkBits / 64;
  for (uint64_t i = 0; i < word; ++i) {
    rank += static_cast<uint64_t>(std::popcount(words_[span.words + i]));
  }
  const uint64_t below = (uint64_t{1} << (bit % 64)) - 1;
  return rank + static_cast<uint64_t>(std::popcount(words_[span.words + word] & below));
}

void PageBitmap::VisitRuns(const std::function<bool(uint64_t, uint64_t)>& visit) const {
  bool open = false;
  uint64_t first = 0;
  uint64_t end = 0;  // one past the run that is open
  // Gives false when the visitor has seen enough.
  const auto add = [&](uint64_t from, uint64_t size) {
    if (open && end == from) {
      end += size;
      return true;
    }
    if (open && !visit(first, end - 1)) return false;
    open = true;
    first = from;
    end = from + size;
    return true;
  };
  for (const Span& span : spans_) {
    const uint64_t base = span.chunk * kChunkBits;
    if (span.words == kAllSet) {
      if (!add(base, span.chunks * kChunkBits)) return;
      continue;
    }
    for (uint64_t i = 0; i < kChunkWords; ++i) {
      uint64_t word = words_[span.words + i];
      uint64_t at = base + i * 64;
      while (word != 0) {
        const unsigned skip = static_cast<unsigned>(std::countr_zero(word));
        word >>= skip;
        at += skip;
        const unsigned size = static_cast<unsigned>(std::countr_one(word));
        if (!add(at, size)) return;
        at += size;
        word = size >= 64 ? 0 : word >> size;
      }
    }
  }
  if (open) visit(first, end - 1);
}

std::optional<uint64_t> PageBitmap::FirstMissingIn(const PageBitmap& other) const {
  for (const Span& span : spans_) {
    for (uint64_t chunk = span.chunk; chunk < span.chunk + span.chunks;) {
      const Span* theirs = other.Find(chunk);
      if (theirs != nullptr && theirs->words == kAllSet) {
        chunk = theirs->chunk + theirs->chunks;
        continue;
      }
      for (uint64_t i = 0; i < kChunkWords; ++i) {
        const uint64_t missing = Word(span, i) & ~(theirs == nullptr ? 0 : other.Word(*theirs, i));
        if (missing != 0) {
          return chunk * kChunkBits + i * 64 + static_cast<uint64_t>(std::countr_zero(missing));
        }
      }
      ++chunk;
    }
  }
  return std::nullopt;
}

}  // namespace dmaudit
