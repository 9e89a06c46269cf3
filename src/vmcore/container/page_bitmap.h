// SPDX-License-Identifier: GPL-2.0-or-later
// PageBitmap: a kdump bitmap, one bit per page frame, that answers "set?" and "how many set
// below?".
#ifndef DMAUDIT_VMCORE_CONTAINER_PAGE_BITMAP_H_
#define DMAUDIT_VMCORE_CONTAINER_PAGE_BITMAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// Holds only what is neither all clear nor all set, so its size follows the pages there are and not
// the highest physical address (terabytes of address space with two pages in it are a real case).
// Immutable once loaded.
class PageBitmap {
 public:
  // Reads `bits` bits (least significant bit first) at `offset`; bits beyond are ignored. Where the
  // source does not have all of them, or cannot give them, the bitmap ends before: see known().
  static Result<PageBitmap> Load(const ByteSource& source, FileOffset offset, uint64_t bits);

  // How many bits could be read, from the first on. Whether those behind are set is not known, and
  // they are given as clear.
  uint64_t known() const { return known_; }
  // Whether the bitmap ends there because reading failed.
  bool failed() const { return failed_; }

  bool Test(uint64_t bit) const;
  // The number of set bits below `bit`.
  uint64_t Rank(uint64_t bit) const;
  // All set bits.
  uint64_t count() const { return count_; }

  // Calls `visit(first, last)` with the maximal runs of set bits, ascending, until it returns
  // false.
  void VisitRuns(const std::function<bool(uint64_t first, uint64_t last)>& visit) const;

  struct Run {
    uint64_t first = 0, last = 0;
  };
  // The same one by one; the bitmap outlives it.
  class RunCursor {
   public:
    explicit RunCursor(const PageBitmap& bitmap) : bitmap_(bitmap) {}
    // Gives the next run; false when there is none.
    bool Next(Run& run);

   private:
    // The next run inside one span or word.
    bool NextPiece(Run& piece);

    const PageBitmap& bitmap_;
    size_t span_ = 0;
    uint64_t word_ = 0;  // of the span
    uint64_t done_ = 0;  // bits of the word that have been looked at
    Run ahead_{};        // a piece that does not continue the run before it
    bool any_ahead_ = false;
  };

  // The first bit set here and clear in `other`.
  std::optional<uint64_t> FirstMissingIn(const PageBitmap& other) const;

  friend bool operator==(const PageBitmap& a, const PageBitmap& b);

 private:
  static constexpr uint64_t kChunkWords = 64;
  static constexpr uint64_t kChunkBits = kChunkWords * 64;
  static constexpr uint64_t kChunkBytes = kChunkBits / 8;
  static constexpr uint64_t kAllSet = UINT64_MAX;

  using Chunk = std::array<uint64_t, kChunkWords>;
  // Chunks are kept in blocks, so that none is copied while their number grows: of 64 KiB, and of 2
  // MiB in bitmaps of half a terabyte and more, where each page fault that a large page saves
  // shows.
  static constexpr uint64_t kBlockChunks = 128;
  static constexpr uint64_t kLargeBlockChunks = 4096;
  static constexpr uint64_t kLargeBitmap = uint64_t{16} << 20;  // bytes
  struct FreeBlock {
    void operator()(Chunk* block) const;
  };
  using Block = std::unique_ptr<Chunk[], FreeBlock>;

  // `chunks` neighbouring chunks from `chunk` on: either all of their bits are set, or it is one
  // chunk that is held.
  struct Span {
    uint64_t chunk;
    uint64_t chunks;
    uint64_t rank;   // set bits below this span
    uint64_t words;  // kAllSet or the number of the chunk among those held
    // Not of where the bits are held.
    bool Alike(const Span& other) const {
      return chunk == other.chunk && chunks == other.chunks && rank == other.rank &&
             (words == kAllSet) == (other.words == kAllSet);
    }
  };

  // The chunks behind those that are held, as many as the block at hand, or a new one, has room
  // for.
  std::span<Chunk> Room();
  void AppendFull(uint64_t chunk);
  void AppendChunk(uint64_t chunk, const Chunk& words);
  // The span that holds `chunk`, or null.
  const Span* Find(uint64_t chunk) const;
  uint64_t Word(const Span& span, uint64_t index) const {
    return span.words == kAllSet ? ~uint64_t{0} : WordsOf(span)[index];
  }
  // Not of a span that is all set.
  const Chunk& WordsOf(const Span& span) const {
    return blocks_[span.words / block_chunks_][span.words % block_chunks_];
  }

  std::vector<Span> spans_;  // ascending
  std::vector<Block> blocks_;
  uint64_t block_chunks_ = kBlockChunks;
  uint64_t held_ = 0;  // number of the next chunk in `blocks_`
  uint64_t count_ = 0;
  uint64_t known_ = 0;
  bool failed_ = false;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_PAGE_BITMAP_H_
