// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kernel_image.h"

#include <string.h>  // memmem

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bytes.h"
#include "kernel/image_layout.h"

namespace dmaudit {
namespace {

constexpr uint64_t kPage = 4096;

bool IsConstant(const MappedStretch& stretch) { return !stretch.writable && !stretch.executable; }

}  // namespace

Result<KernelRange> ImageRange(const Vmcoreinfo& vmcoreinfo) {
  const std::optional<KernelVa> stext = vmcoreinfo.Symbol("_stext");
  if (!stext) return Fail(ErrorCode::kNotFound, "VMCOREINFO has no SYMBOL(_stext)");
  const int64_t announced =
      vmcoreinfo.Number("KERNEL_IMAGE_SIZE").value_or(static_cast<int64_t>(kDefaultImageSize));
  const uint64_t size =
      announced <= 0 ? kMaxImageSize : std::min(static_cast<uint64_t>(announced), kMaxImageSize);
  const KernelVa first = stext->AlignDown(kImageAlignment);
  const KernelVa last(kImageBase + (size - 1));
  if (first.value() < kImageBase || last <= first) {
    return Fail(ErrorCode::kMalformed,
                "_stext is {:#x} in VMCOREINFO, outside the kernel image {:#x} to {:#x}",
                stext->value(), kImageBase, last.value());
  }
  return KernelRange{first, last};
}

namespace {

// Stretches of the wanted part, those that follow each other joined.
std::vector<KernelRange> RunsOf(KernelReader& reader, KernelRange range, ImagePart part) {
  std::vector<KernelRange> runs;
  std::optional<KernelVa> next = range.first.AlignDown(kPage);
  while (next && *next <= range.last) {
    const MappedStretch stretch = reader.StretchAt(*next);
    const std::optional<KernelVa> end = stretch.first.Plus(stretch.size);
    const KernelVa last = end ? std::min(KernelVa(end->value() - 1), range.last) : range.last;
    if (stretch.mapped && IsConstant(stretch) == (part == ImagePart::kConstants)) {
      if (!runs.empty() && runs.back().last.value() + 1 == next->value()) {
        runs.back().last = last;
      } else {
        runs.push_back({*next, last});
      }
    }
    next = end;
  }
  return runs;
}

}  // namespace

ImageBytes ImageBytes::Load(KernelReader& reader, KernelRange range, ImagePart part,
                            uint64_t max_bytes) {
  ImageBytes image;
  std::array<std::byte, kPage> page{};
  for (const KernelRange& run : RunsOf(reader, range, part)) {
    const uint64_t pages = (run.last.value() - run.first.value()) / kPage + 1;
    bool adjoins = false;
    for (uint64_t i = 0; i < pages; ++i) {
      if (image.size_ + kPage > max_bytes) {
        image.cut_off_ = true;
        return image;
      }
      const KernelVa at(run.first.value() + i * kPage);
      // An unknown page ends the piece.
      const bool known = reader.ReadKnown(at, page, kFiller);
      if (known && !adjoins) image.pieces_.push_back({at, {}});
      adjoins = known;
      if (!known) continue;
      std::vector<std::byte>& bytes = image.pieces_.back().bytes;
      // A run is mostly known as a whole. Pieces that begin later grow as they need: with a hole
      // behind every other page, room for the rest of the run each time would add up without end.
      if (i == 0) {
        bytes.reserve(static_cast<size_t>(std::min(pages * kPage, max_bytes - image.size_)));
      }
      bytes.insert(bytes.end(), page.begin(), page.end());
      image.size_ += kPage;
    }
  }
  return image;
}

void ImageBytes::Copy(KernelVa first, std::span<std::byte> out) const {
  std::fill(out.begin(), out.end(), kFiller);
  for (const Piece& piece : pieces_) {
    const uint64_t begin = std::max(first.value(), piece.first.value());
    // Pieces lie in the top 2 GiB; their ends and that of `out` are compared as distances.
    const uint64_t skipped_out = begin - first.value();
    const uint64_t skipped_piece = begin - piece.first.value();
    if (skipped_out >= out.size() || skipped_piece >= piece.bytes.size()) continue;
    const size_t size = static_cast<size_t>(
        std::min<uint64_t>(out.size() - skipped_out, piece.bytes.size() - skipped_piece));
    std::memcpy(out.data() + skipped_out, piece.bytes.data() + skipped_piece, size);
  }
}

std::optional<std::span<const std::byte>> ImageBytes::View(KernelVa first, uint64_t size) const {
  for (const Piece& piece : pieces_) {
    if (first < piece.first || first.value() - piece.first.value() >= piece.bytes.size()) continue;
    return SubSpan(piece.bytes, first.value() - piece.first.value(), size);
  }
  return std::nullopt;
}

void ImageBytes::FindAll(std::span<const std::byte> pattern,
                         const std::function<bool(KernelVa)>& visit) const {
  for (const Piece& piece : pieces_) {
    std::span<const std::byte> rest(piece.bytes);
    while (const void* hit = memmem(rest.data(), rest.size(), pattern.data(), pattern.size())) {
      const size_t at =
          static_cast<size_t>(static_cast<const std::byte*>(hit) - piece.bytes.data());
      if (!visit(KernelVa(piece.first.value() + at))) return;
      rest = std::span(piece.bytes).subspan(at + 1);
    }
  }
}

Result<const ImageBytes*> KernelImage::Part(ImagePart part) {
  if (!bytes_ || held_ != part) {
    const Result<KernelRange> range = ImageRange(vmcoreinfo_);
    if (!range) return tl::unexpected<Error>(range.error());
    const SearchScope search(session_);
    bytes_.reset();
    bytes_ = ImageBytes::Load(reader_, *range, part);
    held_ = part;
  }
  return &*bytes_;
}

}  // namespace dmaudit
