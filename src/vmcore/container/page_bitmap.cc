// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/page_bitmap.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "base/bytes.h"

namespace dmaudit {
namespace {

// std::popcount is a function call for the x86-64 baseline.
constexpr uint64_t BitsOfBytes(uint64_t word) {  // in each byte the number of its bits
  word -= word >> 1 & 0x5555'5555'5555'5555;
  word = (word & 0x3333'3333'3333'3333) + (word >> 2 & 0x3333'3333'3333'3333);
  return (word + (word >> 4)) & 0x0f0f'0f0f'0f0f'0f0f;
}
constexpr uint64_t CountBits(uint64_t word) {
  return BitsOfBytes(word) * 0x0101'0101'0101'0101 >> 56;
}

// Of many words: four million of them for a terabyte. Bytes are added up side by side, which
// compilers do for two words at once.
template <size_t N>
uint64_t CountBits(const std::array<uint64_t, N>& words) {
  constexpr size_t kTogether = 16;  // at most 128 bits in a byte of the sum
  static_assert(N % kTogether == 0);
  uint64_t count = 0;
  for (size_t at = 0; at < N; at += kTogether) {
    uint64_t sum = 0;
    for (size_t i = 0; i < kTogether; ++i) sum += BitsOfBytes(words[at + i]);
    sum = (sum & 0x00ff'00ff'00ff'00ff) + (sum >> 8 & 0x00ff'00ff'00ff'00ff);
    count += sum * 0x0001'0001'0001'0001 >> 48;
  }
  return count;
}

}  // namespace

Result<PageBitmap> PageBitmap::Load(const ByteSource& source, FileOffset offset, uint64_t bits) {
  PageBitmap bitmap;
  const uint64_t bytes = bits / 8 + (bits % 8 != 0 ? 1 : 0);
  if (!offset.Plus(bytes)) {
    return Fail(ErrorCode::kMalformed, "page bitmap at {:#x}: {:#x} bytes leave the file",
                offset.value(), bytes);
  }
  if (bytes >= kLargeBitmap) bitmap.block_chunks_ = kLargeBlockChunks;
  Chunk words{};
  // Of one read. After the first that fails, as little as can be lost with a bad place.
  uint64_t most = UINT64_MAX;
  for (uint64_t done = 0; done < bytes;) {
    const uint64_t data = source.SkipHole(FileOffset(offset.value() + done)).value();
    done = std::max(done, (data - offset.value()) / kChunkBytes * kChunkBytes);
    if (done >= bytes) break;
    // Where most chunks will stay. Each is looked at in turn, and those before it need no more room
    // than they took.
    const std::span<std::byte> buffer = std::as_writable_bytes(bitmap.Room());
    const size_t want =
        static_cast<size_t>(std::min({bytes - done, uint64_t{buffer.size()}, most}));
    const Result<size_t> got = source.ReadAt(FileOffset(offset.value() + done), buffer.first(want));
    if (!got) {
      if (most > kChunkBytes) {
        most = kChunkBytes;
        continue;
      }
      bitmap.known_ = done * 8;
      bitmap.failed_ = true;
      return bitmap;
    }
    const auto filled = buffer.begin() + static_cast<ptrdiff_t>(*got);
    const size_t rest = (kChunkBytes - *got % kChunkBytes) % kChunkBytes;
    std::fill(filled, filled + static_cast<ptrdiff_t>(rest), std::byte{0});
    // Bits behind the last one are not part of the bitmap.
    if (done + *got == bytes && bits % 8 != 0) {
      buffer[*got - 1] &= static_cast<std::byte>((1u << (bits % 8)) - 1);
    }
    for (uint64_t at = 0; at < *got; at += kChunkBytes) {
      uint64_t any = 0;
      uint64_t all = ~uint64_t{0};
      for (size_t i = 0; i < kChunkWords; ++i) {
        words[i] = LoadUnchecked<uint64_t>(buffer, static_cast<size_t>(at) + i * 8);
        any |= words[i];
        all &= words[i];
      }
      const uint64_t chunk = (done + at) / kChunkBytes;
      if (all == ~uint64_t{0}) {
        bitmap.AppendFull(chunk);
      } else if (any != 0) {
        bitmap.AppendChunk(chunk, words);
      }
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

void PageBitmap::FreeBlock::operator()(Chunk* block) const { std::free(block); }

std::span<PageBitmap::Chunk> PageBitmap::Room() {
  // Large enough that the calls do not show beside the counting, small enough for a processor's
  // cache.
  constexpr uint64_t kMost = 256;
  // A smaller rest of a block is left alone.
  const uint64_t least = block_chunks_ / 16;
  if (held_ == blocks_.size() * block_chunks_ || block_chunks_ - held_ % block_chunks_ < least) {
    held_ = blocks_.size() * block_chunks_;
    const size_t size = static_cast<size_t>(block_chunks_ * kChunkBytes);
    void* memory = std::aligned_alloc(size, size);
    if (memory == nullptr) throw std::bad_alloc();
    if (block_chunks_ == kLargeBlockChunks) ::madvise(memory, size, MADV_HUGEPAGE);
    blocks_.emplace_back(static_cast<Chunk*>(memory));
  }
  const uint64_t at = held_ % block_chunks_;
  return {&blocks_.back()[at], static_cast<size_t>(std::min(block_chunks_ - at, kMost))};
}

void PageBitmap::AppendFull(uint64_t chunk) {
  if (!spans_.empty() && spans_.back().words == kAllSet &&
      spans_.back().chunk + spans_.back().chunks == chunk) {
    ++spans_.back().chunks;
  } else {
    spans_.push_back({chunk, 1, count_, kAllSet});
  }
  count_ += kChunkBits;
}

void PageBitmap::AppendChunk(uint64_t chunk, const Chunk& words) {
  spans_.push_back({chunk, 1, count_, held_});
  // Room() has made sure of the block.
  blocks_.back()[held_ % block_chunks_] = words;
  ++held_;
  count_ += CountBits(words);
}

bool operator==(const PageBitmap& a, const PageBitmap& b) {
  return a.known_ == b.known_ && a.count_ == b.count_ &&
         std::equal(a.spans_.begin(), a.spans_.end(), b.spans_.begin(), b.spans_.end(),
                    [&](const PageBitmap::Span& mine, const PageBitmap::Span& theirs) {
                      return mine.Alike(theirs) && (mine.words == PageBitmap::kAllSet ||
                                                    a.WordsOf(mine) == b.WordsOf(theirs));
                    });
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
  const Chunk& words = WordsOf(span);
  uint64_t rank = span.rank;
  const uint64_t word = bit % kChunkBits / 64;
  for (uint64_t i = 0; i < word; ++i) {
    rank += CountBits(words[i]);
  }
  const uint64_t below = (uint64_t{1} << (bit % 64)) - 1;
  return rank + CountBits(words[word] & below);
}

bool PageBitmap::RunCursor::NextPiece(Run& piece) {
  for (; span_ < bitmap_.spans_.size(); ++span_, word_ = 0) {
    const Span& span = bitmap_.spans_[span_];
    const uint64_t base = span.chunk * kChunkBits;
    if (span.words == kAllSet) {
      ++span_;
      piece = {base, base + (span.chunks * kChunkBits - 1)};
      return true;
    }
    const Chunk& words = bitmap_.WordsOf(span);
    for (; word_ < kChunkWords; ++word_, done_ = 0) {
      const uint64_t rest = done_ < 64 ? words[word_] >> done_ : 0;
      if (rest == 0) continue;
      const uint64_t skip = static_cast<uint64_t>(std::countr_zero(rest));
      const uint64_t size = static_cast<uint64_t>(std::countr_one(rest >> skip));
      const uint64_t first = base + word_ * 64 + done_ + skip;
      done_ += skip + size;
      piece = {first, first + (size - 1)};
      return true;
    }
  }
  return false;
}

bool PageBitmap::RunCursor::Next(Run& run) {
  if (any_ahead_) {
    run = ahead_;
  } else if (!NextPiece(run)) {
    return false;
  }
  while ((any_ahead_ = NextPiece(ahead_)) && ahead_.first == run.last + 1) run.last = ahead_.last;
  return true;
}

void PageBitmap::VisitRuns(const std::function<bool(uint64_t, uint64_t)>& visit) const {
  RunCursor cursor(*this);
  for (Run run; cursor.Next(run);) {
    if (!visit(run.first, run.last)) return;
  }
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
