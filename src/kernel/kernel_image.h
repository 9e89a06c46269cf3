// SPDX-License-Identifier: GPL-2.0-or-later
// The memory of the kernel image, taken as bytes for searches.
#ifndef DMAUDIT_KERNEL_KERNEL_IMAGE_H_
#define DMAUDIT_KERNEL_KERNEL_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "kernel/kernel_reader.h"
#include "kernel/vmcoreinfo.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

using KernelRange = AddressRange<KernelVa>;

// Where the kernel image may lie: from the 2 MiB border at or below _stext to the end of the region
// that the kernel keeps for it. The error says what VMCOREINFO lacks or gets wrong.
Result<KernelRange> ImageRange(const Vmcoreinfo& vmcoreinfo);

// Parts of the image, by what the kernel's page tables allow.
enum class ImagePart : uint8_t {
  kConstants,  // neither writable nor executable: where the kernel keeps its tables
  kRest,       // the rest: with rodata=off the tables have no protection of their own
};

// Copies of the pages of one part that are known at least in part.
class ImageBytes {
 public:
  // Stands for bytes that are not known. What a search finds in it fails when it is read as
  // evidence.
  static constexpr std::byte kFiller{0xff};
  // Constants of a distribution kernel are 10 to 16 MiB, everything else 40 MiB.
  static constexpr uint64_t kMaxBytes = uint64_t{64} << 20;

  // Pages that follow each other without a gap.
  struct Piece {
    KernelVa first;
    std::vector<std::byte> bytes;
  };

  static ImageBytes Load(KernelReader& reader, KernelRange range, ImagePart part,
                         uint64_t max_bytes = kMaxBytes);

  const std::vector<Piece>& pieces() const { return pieces_; }
  uint64_t size() const { return size_; }
  // More than `max_bytes` were there.
  bool cut_off() const { return cut_off_; }

  // What is known of the range, kFiller for the rest.
  void Copy(KernelVa first, std::span<std::byte> out) const;
  // The bytes themselves when they lie in one piece.
  std::optional<std::span<const std::byte>> View(KernelVa first, uint64_t size) const;
  // Every place of `pattern` inside a piece, ascending, until `visit` returns false.
  void FindAll(std::span<const std::byte> pattern,
               const std::function<bool(KernelVa)>& visit) const;

 private:
  std::vector<Piece> pieces_;  // ascending
  uint64_t size_ = 0;
  bool cut_off_ = false;
};

// The image of one kernel: reads a part when it is first asked for, as search, not as evidence.
class KernelImage {
 public:
  // All three outlive this object; `reader` reads through `session`.
  KernelImage(const Vmcoreinfo& vmcoreinfo, KernelReader& reader, MemorySession& session)
      : vmcoreinfo_(vmcoreinfo), reader_(reader), session_(session) {}

  const Vmcoreinfo& vmcoreinfo() const { return vmcoreinfo_; }
  KernelReader& reader() { return reader_; }

  // The one part or the other; only one is held at a time. The error is that of ImageRange.
  Result<const ImageBytes*> Part(ImagePart part);

 private:
  const Vmcoreinfo& vmcoreinfo_;
  KernelReader& reader_;
  MemorySession& session_;
  std::optional<ImageBytes> bytes_;
  ImagePart held_ = ImagePart::kConstants;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_KERNEL_IMAGE_H_
