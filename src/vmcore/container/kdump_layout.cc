// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/kdump_layout.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

namespace dmaudit {
namespace {

constexpr uint32_t kMinBlock = 4096;
constexpr uint32_t kMaxBlock = 65536;
// Beyond every version there will be, below what a version in the other byte order is.
constexpr uint32_t kMaxVersion = 0xffff;
// 256 MiB of notes, more than anybody has.
constexpr uint32_t kMaxSubBlocks = 0x10000;

constexpr KdumpMainLayout kMain64 = {.status = 424,
                                     .block_size = 428,
                                     .sub_hdr_size = 432,
                                     .bitmap_blocks = 436,
                                     .max_mapnr = 440,
                                     .size = 464};
// A timestamp of two 32-bit words.
constexpr KdumpMainLayout kMain32 = {.status = 412,
                                     .block_size = 416,
                                     .sub_hdr_size = 420,
                                     .bitmap_blocks = 424,
                                     .max_mapnr = 428,
                                     .size = 452};

constexpr KdumpSubLayout kSub64 = {.word = 8,
                                   .dump_level = 8,
                                   .split = 12,
                                   .start_pfn = 16,
                                   .end_pfn = 24,
                                   .offset_vmcoreinfo = 32,
                                   .size_vmcoreinfo = 40,
                                   .offset_note = 48,
                                   .size_note = 56,
                                   .offset_eraseinfo = 64,
                                   .size_eraseinfo = 72,
                                   .start_pfn_64 = 80,
                                   .end_pfn_64 = 88,
                                   .max_mapnr_64 = 96,
                                   .size = 104};
// 64-bit fields aligned to 4 bytes: i386.
constexpr KdumpSubLayout kSub32Packed = {.word = 4,
                                         .dump_level = 4,
                                         .split = 8,
                                         .start_pfn = 12,
                                         .end_pfn = 16,
                                         .offset_vmcoreinfo = 20,
                                         .size_vmcoreinfo = 28,
                                         .offset_note = 32,
                                         .size_note = 40,
                                         .offset_eraseinfo = 44,
                                         .size_eraseinfo = 52,
                                         .start_pfn_64 = 56,
                                         .end_pfn_64 = 64,
                                         .max_mapnr_64 = 72,
                                         .size = 80};
// 64-bit fields aligned to 8 bytes: ARM, MIPS, PowerPC.
constexpr KdumpSubLayout kSub32Padded = {.word = 4,
                                         .dump_level = 4,
                                         .split = 8,
                                         .start_pfn = 12,
                                         .end_pfn = 16,
                                         .offset_vmcoreinfo = 24,
                                         .size_vmcoreinfo = 32,
                                         .offset_note = 40,
                                         .size_note = 48,
                                         .offset_eraseinfo = 56,
                                         .size_eraseinfo = 64,
                                         .start_pfn_64 = 72,
                                         .end_pfn_64 = 80,
                                         .max_mapnr_64 = 88,
                                         .size = 96};

// In the order of preference. The third kind is ARM with a 64-bit time_t: its timestamp grew by 12
// bytes with the padding, which puts the rest where a 64-bit machine has it (crash issue 177).
constexpr std::array kLayouts = {
    KdumpLayout{&kMain64, &kSub64, ByteOrder::kLittle, "64-bit little-endian"},
    KdumpLayout{&kMain32, &kSub32Packed, ByteOrder::kLittle, "32-bit little-endian"},
    KdumpLayout{&kMain32, &kSub32Padded, ByteOrder::kLittle, "32-bit little-endian, padded"},
    KdumpLayout{&kMain64, &kSub32Padded, ByteOrder::kLittle,
                "32-bit little-endian, padded, 64-bit time"},
    KdumpLayout{&kMain64, &kSub64, ByteOrder::kBig, "64-bit big-endian"},
    KdumpLayout{&kMain32, &kSub32Packed, ByteOrder::kBig, "32-bit big-endian"},
    KdumpLayout{&kMain32, &kSub32Padded, ByteOrder::kBig, "32-bit big-endian, padded"},
    KdumpLayout{&kMain64, &kSub32Padded, ByteOrder::kBig, "32-bit big-endian, padded, 64-bit time"},
};

// What the name of a machine tells about its structures; unset: it does not say.
struct MachineTraits {
  std::optional<unsigned> word;
  std::optional<ByteOrder> order;
  std::optional<bool> padded;
};

MachineTraits TraitsOf(std::string_view machine) {
  constexpr auto little = ByteOrder::kLittle;
  constexpr auto big = ByteOrder::kBig;
  for (const std::string_view name :
       {"x86_64", "aarch64", "ppc64le", "riscv64", "loongarch64", "ia64", "alpha"}) {
    if (machine == name) return {8, little, {}};
  }
  for (const std::string_view name : {"ppc64", "s390x", "sparc64", "aarch64_be", "parisc64"}) {
    if (machine == name) return {8, big, {}};
  }
  if (machine == "mips64" || machine == "mips64el") return {8, {}, {}};
  if (machine.size() == 4 && machine[0] == 'i' && machine.ends_with("86")) {
    return {4, little, false};
  }
  if (machine.starts_with("arm")) return {4, machine.ends_with("b") ? big : little, true};
  if (machine == "ppc" || machine == "s390") return {4, big, true};
  if (machine == "ppcle") return {4, little, true};
  if (machine == "mips") return {4, {}, true};
  return {};
}

// Points for agreement with what the name says.
template <typename T>
int Agreement(const std::optional<T>& said, T is, int points) {
  if (!said) return 0;
  return *said == is ? points : -points;
}

bool Inside(uint64_t offset, uint64_t size, uint64_t begin, uint64_t end) {
  return size == 0 || (offset >= begin && offset <= end && size <= end - offset);
}

// How much sense the fields make; the largest score wins.
class LayoutScore {
 public:
  LayoutScore(const KdumpLayout& layout, const ByteSource& source, std::span<const std::byte> main)
      : layout_(layout), source_(source), main_(main) {}

  Result<int> Get() {
    const KdumpMainLayout& at = *layout_.main;
    const MachineTraits traits = TraitsOf(KdumpUtsField(main_, kKdumpMachine));
    int score =
        Agreement(traits.word, layout_.sub->word, 2) + Agreement(traits.order, layout_.order, 2) +
        (layout_.sub->word == 4 ? Agreement(traits.padded, layout_.sub == &kSub32Padded, 2) : 0);
    const uint32_t version = layout_.U32(main_, kKdumpVersion);
    if (version <= kMaxVersion) score += 8;
    const uint64_t block = layout_.U32(main_, at.block_size);
    if (!IsKdumpBlockSize(static_cast<uint32_t>(block))) return score;
    score += 8;
    const uint64_t sub_blocks = layout_.U32(main_, at.sub_hdr_size);
    const uint64_t bitmap_blocks = layout_.U32(main_, at.bitmap_blocks);
    const uint64_t max_mapnr = layout_.U32(main_, at.max_mapnr);
    if (sub_blocks >= (version == 0 ? 0 : 1) && sub_blocks <= kMaxSubBlocks) score += 2;
    if (max_mapnr != 0 && bitmap_blocks * block * 8 >= max_mapnr) score += 2;
    if ((1 + sub_blocks + bitmap_blocks) * block <= source_.size()) score += 1;
    if (version < 3 || version > kMaxVersion) return score;
    std::array<std::byte, kKdumpSubSize> sub{};
    const Result<size_t> got = source_.ReadAt(FileOffset(block), sub);
    if (!got) return tl::unexpected<Error>(got.error());
    // What a cut file lacks counts as zeros, the same for all layouts.
    return score + ScoreSub(sub, version, max_mapnr, block, (1 + sub_blocks) * block);
  }

 private:
  int ScoreSub(std::span<const std::byte> sub, uint32_t version, uint64_t max_mapnr, uint64_t begin,
               uint64_t end) const {
    const KdumpSubLayout& at = *layout_.sub;
    int score = 0;
    if (layout_.U32(sub, at.split) <= 1) score += 2;
    // It is right before the mark.
    if (layout_.U32(sub, at.dump_level) <= kMaxKdumpDumpLevel) score += 1;
    if (version >= 6 &&
        std::min<uint64_t>(layout_.U64(sub, at.max_mapnr_64), UINT32_MAX) == max_mapnr) {
      // Said twice: more than a name, which a copy keeps whatever headers it has.
      score += 6;
    }
    if (Inside(layout_.U64(sub, at.offset_vmcoreinfo), layout_.Long(sub, at.size_vmcoreinfo), begin,
               end)) {
      score += 1;
    }
    if (version >= 4 &&
        Inside(layout_.U64(sub, at.offset_note), layout_.Long(sub, at.size_note), begin, end)) {
      score += 1;
    }
    return score;
  }

  const KdumpLayout& layout_;
  const ByteSource& source_;
  std::span<const std::byte> main_;
};

}  // namespace

bool IsKdumpBlockSize(uint32_t size) {
  return std::has_single_bit(size) && size >= kMinBlock && size <= kMaxBlock;
}

std::string KdumpUtsField(std::span<const std::byte> main, size_t offset) {
  const std::string_view text = AsText(main.subspan(offset, kKdumpUtsField));
  return std::string(text.substr(0, text.find('\0')));
}

Result<KdumpLayout> ChooseKdumpLayout(const ByteSource& source, std::span<const std::byte> main) {
  const KdumpLayout* best = nullptr;
  int best_score = 0;
  for (const KdumpLayout& layout : kLayouts) {
    const Result<int> score = LayoutScore(layout, source, main).Get();
    if (!score) return tl::unexpected<Error>(score.error());
    if (best == nullptr || *score > best_score) {
      best = &layout;
      best_score = *score;
    }
  }
  return *best;
}

}  // namespace dmaudit
