// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/btf_search.h"

#include <string.h>  // memmem

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "kernel/btf_load.h"

namespace dmaudit {
namespace {

// Magic 0xeb9f, version 1, no flags.
constexpr std::array<std::byte, 4> kMagic = {std::byte{0x9f}, std::byte{0xeb}, std::byte{1},
                                             std::byte{0}};
constexpr uint32_t kHeader = 24;
constexpr uint32_t kHeaderWithLayout = 32;  // 7.1 and later
// Headers grow by a pair of words at a time; what is behind those known says nothing of the size.
constexpr uint32_t kMaxHeader = 128;

// Structures of every kernel that modules and BPF programs take from it, but seldom define anew.
constexpr std::array<std::string_view, 2> kKernelStructures = {"list_head", "task_struct"};

// The magic is rare: one place in a distribution kernel.
constexpr unsigned kMaxHeaders = 4096;
// Blobs that are decoded to see what they define.
constexpr size_t kMaxBlobs = 8;

// The size of the whole blob, or nothing when the header is not that of a kernel.
std::optional<uint64_t> SizeByHeader(std::span<const std::byte> header) {
  if (header.size() < kHeader) return std::nullopt;
  const uint32_t length = LoadUnchecked<uint32_t>(header, 4);
  if (length < kHeader || length > kMaxHeader || length % 4 != 0) return std::nullopt;
  const uint64_t type_offset = LoadUnchecked<uint32_t>(header, 8);
  const uint64_t type_length = LoadUnchecked<uint32_t>(header, 12);
  const uint64_t string_offset = LoadUnchecked<uint32_t>(header, 16);
  const uint64_t string_length = LoadUnchecked<uint32_t>(header, 20);
  if (type_offset != 0 || type_length == 0 || type_length % 4 != 0) return std::nullopt;
  if (string_offset < type_length || string_length == 0) return std::nullopt;
  uint64_t end = string_offset + string_length;
  if (length >= kHeaderWithLayout) {
    if (header.size() < kHeaderWithLayout) return std::nullopt;
    const uint64_t layout_offset = LoadUnchecked<uint32_t>(header, 24);
    const uint64_t layout_length = LoadUnchecked<uint32_t>(header, 28);
    end = std::max(end, layout_offset + layout_length);
  }
  if (length + end > kMaxBtf) return std::nullopt;
  return length + end;
}

bool NamesKernelStructures(std::span<const std::byte> blob) {
  const uint32_t length = LoadUnchecked<uint32_t>(blob, 4);
  const auto strings = SubSpan(blob, uint64_t{length} + LoadUnchecked<uint32_t>(blob, 16),
                               LoadUnchecked<uint32_t>(blob, 20));
  if (!strings) return false;
  return std::all_of(
      kKernelStructures.begin(), kKernelStructures.end(), [&](std::string_view name) {
        const std::string text = '\0' + std::string(name) + '\0';
        return memmem(strings->data(), strings->size(), text.data(), text.size()) != nullptr;
      });
}

}  // namespace

BtfCandidates FindBtfHeaders(const ImageBytes& image) {
  BtfCandidates candidates;
  unsigned headers = 0;
  image.FindAll(kMagic, [&](KernelVa start) {
    if (++headers > kMaxHeaders) {
      candidates.limit = fmt::format("more than {} headers", kMaxHeaders);
      return false;
    }
    std::array<std::byte, kHeaderWithLayout> header{};
    image.Copy(start, header);
    const std::optional<uint64_t> size = SizeByHeader(header);
    if (!size) return true;
    const auto blob = image.View(start, *size);
    if (blob && NamesKernelStructures(*blob)) candidates.found.push_back({start, *size});
    return true;
  });
  std::stable_sort(candidates.found.begin(), candidates.found.end(),
                   [](const BtfCandidate& a, const BtfCandidate& b) { return a.size > b.size; });
  return candidates;
}

Result<Btf> SearchBtf(KernelImage& image, std::span<const std::string_view> wanted) {
  std::vector<std::string_view> names(wanted.begin(), wanted.end());
  names.insert(names.end(), kKernelStructures.begin(), kKernelStructures.end());
  std::string failure;
  for (const ImagePart part : {ImagePart::kConstants, ImagePart::kRest}) {
    const Result<const ImageBytes*> bytes = image.Part(part);
    if (!bytes) return tl::unexpected<Error>(bytes.error());
    BtfCandidates candidates = FindBtfHeaders(**bytes);
    if (!candidates.limit.empty()) {
      return Fail(ErrorCode::kLimit, "search for BTF given up: {}", candidates.limit);
    }
    if (candidates.found.size() > kMaxBlobs) candidates.found.resize(kMaxBlobs);
    for (const BtfCandidate& candidate : candidates.found) {
      // Read anew: what is decoded from here on is evidence.
      std::vector<std::byte> blob(static_cast<size_t>(candidate.size));
      Result<Btf> btf = tl::unexpected<Error>(Error{});
      if (const Status status = image.reader().Read(candidate.start, blob); status) {
        btf = Btf::Parse(std::move(blob), names, "BTF (found by its header)");
      } else {
        btf = tl::unexpected<Error>(status.error());
      }
      if (!btf) {
        failure = fmt::format("; BTF at {:#x}: {}", candidate.start.value(), btf.error().message);
        continue;
      }
      if (std::all_of(kKernelStructures.begin(), kKernelStructures.end(),
                      [&](std::string_view name) { return btf->SizeOf(name).has_value(); })) {
        return btf;
      }
      failure = fmt::format("; the BTF at {:#x} does not define the kernel's structures",
                            candidate.start.value());
    }
  }
  return Fail(ErrorCode::kNotFound, "no BTF found by its header{}", failure);
}

}  // namespace dmaudit
