// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kallsyms_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bytes.h"
#include "kernel/kallsyms.h"

namespace dmaudit {
namespace {

// Every table begins at a multiple of 8, in the newest kernels (7.2) of 4.
constexpr std::array<uint64_t, 2> kAlignments = {8, 4};
constexpr uint64_t kMinAlignment = kAlignments.back();
constexpr uint64_t kMaxAlignment = kAlignments.front();
constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

// Tokens '0' to '9' are these characters in every kernel: digits in names are never replaced.
constexpr std::string_view kDigits("0\0001\0002\0003\0004\0005\0006\0007\0008\0009\0", 20);
constexpr size_t kFirstDigit = '0';
constexpr size_t kTokens = TokenTable::kTokens;
constexpr size_t kIndexBytes = kTokens * 2;
// The index has 16 bits.
constexpr size_t kMaxTokenTable = 65536;
// Tokens are pieces of names, and 48 of them stand in front of the digits.
constexpr size_t kMaxBeforeDigits = 8192;

// One marker for so many symbols.
constexpr uint32_t kBlock = 256;
// A name takes a length byte and a token, at most two and 512 (KSYM_NAME_LEN).
constexpr uint64_t kMaxNameTokens = 512;
constexpr uint64_t kMinBlockBytes = uint64_t{kBlock} * 2;
constexpr uint64_t kMaxBlockBytes = kBlock * (2 + kMaxNameTokens);
// No kernel with PCI and ACPI has fewer than 4096 symbols, and a shorter run of plausible markers
// is found in other tables.
constexpr size_t kMinMarkers = 16;

// Names, markers and, in 6.1 to 6.3, three bytes for each symbol lie below the tokens: 3 MiB for
// 160 000 symbols. The small window is tried first.
constexpr std::array<size_t, 2> kWindows = {size_t{4} << 20, size_t{24} << 20};

// Budgets of one search; an image without malice needs a few of each.
constexpr unsigned kMaxDigitRuns = 4096;  // places with the digits
constexpr unsigned kMaxTokenTables = 8;   // of which an index proves the tokens
constexpr unsigned kMaxMarkerRuns = 64;
constexpr unsigned kMaxWalks = 64;  // over the names

struct Markers {
  size_t at;  // in the window
  size_t width;
  std::vector<uint64_t> values;
};

class Finder {
 public:
  explicit Finder(const ImageBytes& image) : image_(image) {}

  KallsymsCandidates Find() {
    image_.FindAll(AsBytes(kDigits), [&](KernelVa digits) {
      if (++digit_runs_ > kMaxDigitRuns) return Limit("places with digits", kMaxDigitRuns);
      const std::optional<Tokens> tokens = FindTokens(digits);
      if (!tokens) return true;
      if (++token_tables_ > kMaxTokenTables) return Limit("token tables", kMaxTokenTables);
      Near(fmt::format("kallsyms_token_table at {:#x}, but no markers and names below it",
                       tokens->table.value()));
      const size_t below = BytesBelow(tokens->table);
      for (const size_t window : kWindows) {
        const size_t before = result_.found.size();
        FindNames(*tokens, std::min(window, below));
        if (result_.found.size() != before || !result_.limit.empty() || below <= window) break;
      }
      return result_.limit.empty();
    });
    return std::move(result_);
  }

 private:
  struct Tokens {
    KernelVa table;
    KernelVa index;
  };

  // How much of the image lies below `address`, if it has no gaps.
  size_t BytesBelow(KernelVa address) const {
    const KernelVa first = image_.pieces().front().first;
    if (address <= first) return 0;
    return static_cast<size_t>(AlignUp(address.value() - first.value(), kMaxAlignment));
  }

  // Returns false, for use as the answer of a visitor.
  bool Limit(std::string_view what, unsigned limit) {
    result_.limit = fmt::format("more than {} {}", limit, what);
    return false;
  }
  void Near(std::string text) {
    if (result_.nearest.empty()) result_.nearest = std::move(text);
  }

  // `digits` is token 48. Token 0 ends at the 48th NUL before it; where it begins, the index tells.
  std::optional<Tokens> FindTokens(KernelVa digits) const {
    std::vector<std::byte> bytes(kMaxBeforeDigits + kMaxTokenTable + kMaxAlignment + kIndexBytes,
                                 ImageBytes::kFiller);
    const size_t before = static_cast<size_t>(std::min<uint64_t>(kMaxBeforeDigits, digits.value()));
    const KernelVa base(digits.value() - before);
    size_t first_end = before;  // of token 0: its NUL
    size_t nuls = 0;
    // What lies before is copied first: nearly no place with digits has 48 short tokens there.
    image_.Copy(base, std::span(bytes).first(before));
    while (first_end > 0 && nuls < kFirstDigit) {
      if (bytes[--first_end] == std::byte{0}) ++nuls;
    }
    if (nuls < kFirstDigit) return std::nullopt;
    image_.Copy(digits, std::span(bytes).subspan(before));

    // Ends of all tokens, relative to the window.
    std::array<size_t, kTokens> ends{};
    size_t at = first_end;
    for (size_t& end : ends) {
      const void* nul =
          at < bytes.size() ? std::memchr(bytes.data() + at, 0, bytes.size() - at) : nullptr;
      if (nul == nullptr) return std::nullopt;
      end = static_cast<size_t>(static_cast<const std::byte*>(nul) - bytes.data());
      at = end + 1;
    }
    for (const uint64_t alignment : kAlignments) {
      const size_t index =
          static_cast<size_t>(AlignUp(base.value() + at, alignment) - base.value());
      const std::optional<size_t> start = StartByIndex(bytes, ends, index);
      if (start && (base.value() + *start) % alignment == 0) {
        return Tokens{KernelVa(base.value() + *start), KernelVa(base.value() + index)};
      }
    }
    return std::nullopt;
  }

  // The start of token 0 when the words at `index` are the offsets of all tokens from it.
  static std::optional<size_t> StartByIndex(std::span<const std::byte> bytes,
                                            const std::array<size_t, kTokens>& ends, size_t index) {
    const std::optional<uint16_t> first_size = Load<uint16_t>(bytes, index + 2);
    if (!first_size || *first_size == 0 || *first_size > ends[0] + 1) return std::nullopt;
    const size_t start = ends[0] + 1 - *first_size;
    size_t token = start;
    for (size_t i = 0; i < kTokens; ++i) {
      const std::optional<uint16_t> offset = Load<uint16_t>(bytes, index + 2 * i);
      if (!offset || *offset != token - start) return std::nullopt;
      token = ends[i] + 1;
    }
    return start;
  }

  // The first that fit, down from the tokens: what lies lower belongs to other tokens.
  void FindNames(const Tokens& tokens, size_t size) {
    const size_t before = result_.found.size();
    size = static_cast<size_t>(std::min<uint64_t>(size, tokens.table.value()));
    window_.resize(size);
    base_ = tokens.table.value() - size;
    image_.Copy(KernelVa(base_), window_);
    for (size_t at = size / kMinAlignment * kMinAlignment; at >= 2 * kMinAlignment;) {
      at -= kMinAlignment;
      for (const size_t width : {size_t{4}, size_t{8}}) {
        const std::optional<Markers> markers = MarkersAt(at, width);
        if (!markers) continue;
        if (++marker_runs_ > kMaxMarkerRuns) {
          Limit("runs of markers", kMaxMarkerRuns);
          return;
        }
        FindNamesOf(*markers, tokens);
        if (!result_.limit.empty() || result_.found.size() != before) return;
      }
    }
  }

  uint64_t Word(size_t at, size_t width) const {
    if (width == 4) return LoadUnchecked<uint32_t>(window_, at);
    return LoadUnchecked<uint64_t>(window_, at);
  }

  std::optional<Markers> MarkersAt(size_t at, size_t width) const {
    if (at % width != 0 || at + width > window_.size() || Word(at, width) != 0) return std::nullopt;
    uint64_t last = 0;
    size_t end = at + width;
    for (; end + width <= window_.size(); end += width) {
      const uint64_t value = Word(end, width);
      if (value < last + kMinBlockBytes || value > last + kMaxBlockBytes) break;
      last = value;
    }
    if ((end - at) / width < kMinMarkers) return std::nullopt;
    Markers markers{at, width, {}};
    for (size_t next = at; next < end; next += width) markers.values.push_back(Word(next, width));
    return markers;
  }

  // The number of symbols lies in the word below the names, and the names end at the markers.
  void FindNamesOf(const Markers& markers, const Tokens& tokens) {
    // What follows the markers may look like more of them.
    const uint64_t max_count = std::min<uint64_t>(markers.values.size() * kBlock, kMaxKallsyms);
    const uint64_t min_count = (kMinMarkers - 1) * kBlock + 1;
    for (size_t names = markers.at; names >= kMaxAlignment; names -= kMinAlignment) {
      const size_t length = markers.at - names;
      if (length > markers.values.back() + kMaxBlockBytes + kMaxAlignment) break;
      // 32 bits, or 64 to 4.19, and up to the alignment nothing behind them.
      const bool wide = (base_ + names) % kMaxAlignment == 0 && Word(names - 4, 4) == 0;
      const size_t num_syms = names - (wide ? 8 : 4);
      const uint64_t count = Word(num_syms, 4);
      if (count < min_count || count > max_count) continue;
      const size_t blocks = static_cast<size_t>((count + kBlock - 1) / kBlock);
      const uint64_t last = markers.values[blocks - 1];
      if (length <= last || length - last > kMaxBlockBytes + kMaxAlignment) continue;
      for (const LengthForm form : {LengthForm::kUleb128, LengthForm::kOneByte}) {
        if (++walks_ > kMaxWalks) {
          Limit("walks over names", kMaxWalks);
          return;
        }
        if (!NamesFit(names, markers, static_cast<uint32_t>(count), form)) continue;
        result_.found.push_back({KernelVa(base_ + num_syms), KernelVa(base_ + names),
                                 KernelVa(base_ + markers.at), tokens.table, tokens.index,
                                 static_cast<uint32_t>(count), blocks * markers.width, form});
        return;  // both forms fit when no name is long, and then mean the same
      }
    }
  }

  bool NamesFit(size_t names, const Markers& markers, uint32_t count, LengthForm form) const {
    size_t at = names;
    for (uint32_t i = 0; i < count; ++i) {
      if (i % kBlock == 0 && at - names != markers.values[i / kBlock]) return false;
      if (at >= markers.at) return false;
      size_t length = static_cast<size_t>(window_[at++]);
      if (form == LengthForm::kUleb128 && length >= 128) {
        if (at >= markers.at) return false;
        length = (length & 0x7f) | static_cast<size_t>(window_[at++]) << 7;
      }
      if (length == 0 || length > kMaxNameTokens) return false;
      at += length;
    }
    return at <= markers.at && markers.at - at < kMaxAlignment;
  }

  const ImageBytes& image_;
  KallsymsCandidates result_;
  std::vector<std::byte> window_;  // bytes from base_ up to a token table
  uint64_t base_ = 0;
  unsigned digit_runs_ = 0;
  unsigned token_tables_ = 0;
  unsigned marker_runs_ = 0;
  unsigned walks_ = 0;
};

// Every place that kernels put the addresses at: below the number of symbols (to 6.3) or behind
// the token index (6.4 and later); 8 bytes each, or 4 bytes with or without a base.
std::vector<KallsymsTables> Layouts(const KallsymsCandidate& found) {
  const KallsymsTables tables{found.names,  found.num_syms, found.token_table, found.token_index,
                              std::nullopt, std::nullopt,   std::nullopt,      found.lengths};
  const uint64_t num_syms = found.num_syms.value();
  const uint64_t behind = found.token_index.value() + kIndexBytes;
  const uint64_t absolute = uint64_t{found.count} * 8;
  const uint64_t relative = AlignUp(uint64_t{found.count} * 4, kMaxAlignment);
  std::vector<KallsymsTables> layouts(4, tables);
  // The image lies in the top 2 GiB: these differences cannot pass 0, and a sum that passes the end
  // is turned down when it is read.
  layouts[0].offsets = KernelVa(num_syms - 8 - relative);
  layouts[0].relative_base = KernelVa(num_syms - 8);
  layouts[1].addresses = KernelVa(num_syms - absolute);
  layouts[2].offsets = KernelVa(behind);
  layouts[2].relative_base = KernelVa(behind + relative);
  layouts[3].addresses = KernelVa(behind);
  return layouts;
}

// The bytes that were loaded for the search, as the decoder wants to read them. An unknown byte
// among them is found out when the tables are read as evidence.
class ImageReader : public KernelReader {
 public:
  explicit ImageReader(const ImageBytes& image) : image_(image) {}

  Status Read(KernelVa address, std::span<std::byte> out) override {
    const auto bytes = image_.View(address, out.size());
    if (!bytes) {
      return Fail(ErrorCode::kUnknown, "kernel address {:#x} is not known", address.value());
    }
    std::copy(bytes->begin(), bytes->end(), out.begin());
    return {};
  }
  Result<PhysAddr> Translate(KernelVa address) override {
    return Fail(ErrorCode::kUnsupported, "no translation of {:#x}", address.value());
  }

 private:
  const ImageBytes& image_;
};

// A way to read one candidate in which the anchors agree.
struct Reading {
  KallsymsCandidate candidate;
  KallsymsTables tables;
};

// Appends what agrees; an anchor that could not be read is told in `failure`.
void FindReadings(const KallsymsCandidate& candidate, const Vmcoreinfo& vmcoreinfo,
                  const ImageBytes& image, std::vector<Reading>& readings, std::string& failure) {
  ImageReader reader(image);
  const Result<TokenTable> tokens =
      TokenTable::Read(reader, candidate.token_table, candidate.token_index);
  if (!tokens) {
    failure = tokens.error().message;
    return;
  }
  const Result<std::vector<NameHit>> hits = ScanNames(reader, candidate.names, candidate.count,
                                                      *tokens, candidate.lengths, kKallsymsAnchors);
  if (!hits) {
    failure = hits.error().message;
    return;
  }
  for (const KallsymsTables& tables : Layouts(candidate)) {
    AddressTables addresses{tables.addresses, tables.offsets, std::nullopt};
    // Without a base the offsets may still be relative to their own places.
    if (const auto with_base = ReadAddressTables(tables, reader)) addresses = *with_base;
    for (const AddressForm form : {AddressForm::kPlaceRelative, AddressForm::kAbsolutePerCpu,
                                   AddressForm::kBaseRelative, AddressForm::kAbsolute}) {
      const Result<bool> agree =
          AnchorsAgree(reader, addresses, form, *hits, kKallsymsAnchors, vmcoreinfo);
      if (!agree) {
        failure = agree.error().message;
        continue;
      }
      if (!*agree) continue;
      Reading reading{candidate, tables};
      if (form == AddressForm::kPlaceRelative) reading.tables.relative_base.reset();
      readings.push_back(reading);
    }
  }
}

// What was looked through, for the error.
std::string Coverage(const ImageBytes& image, ImagePart part) {
  return fmt::format("{} KiB of {}{}", image.size() / 1024,
                     part == ImagePart::kConstants ? "read-only data" : "other memory of the image",
                     image.cut_off() ? " (not all of it)" : "");
}

}  // namespace

KallsymsCandidates FindKallsymsTables(const ImageBytes& image) { return Finder(image).Find(); }

Result<SymbolTable> SearchKallsyms(KernelImage& image, std::span<const std::string_view> wanted) {
  std::string looked_at;
  std::string failure;
  for (const ImagePart part : {ImagePart::kConstants, ImagePart::kRest}) {
    const Result<const ImageBytes*> bytes = image.Part(part);
    if (!bytes) return tl::unexpected<Error>(bytes.error());
    const KallsymsCandidates candidates = FindKallsymsTables(**bytes);
    std::vector<Reading> readings;
    for (const KallsymsCandidate& candidate : candidates.found) {
      FindReadings(candidate, image.vmcoreinfo(), **bytes, readings, failure);
    }
    if (!candidates.limit.empty()) {
      return Fail(ErrorCode::kLimit, "search for kallsyms given up: {}", candidates.limit);
    }
    if (readings.size() > 1) {
      return Fail(ErrorCode::kMalformed,
                  "kallsyms found by signature is ambiguous: {} readings give the _stext of "
                  "VMCOREINFO, names at {:#x} and {:#x}",
                  readings.size(), readings[0].tables.names.value(),
                  readings[1].tables.names.value());
    }
    if (readings.size() == 1) {
      // The markers found the names: with them in the evidence they are found again.
      std::vector<std::byte> markers(static_cast<size_t>(readings[0].candidate.marker_bytes));
      if (const Status status = image.reader().Read(readings[0].candidate.markers, markers);
          !status) {
        return Within("kallsyms_markers", status.error());
      }
      return ReadKallsyms(readings[0].tables, image.vmcoreinfo(), image.reader(), wanted,
                          "kallsyms (found by signature)");
    }
    if (!candidates.found.empty()) {
      failure =
          fmt::format("no encoding of the names at {:#x} gives the addresses of VMCOREINFO{}{}",
                      candidates.found[0].names.value(), failure.empty() ? "" : "; ", failure);
    }
    if (failure.empty()) failure = candidates.nearest;
    looked_at += (looked_at.empty() ? "" : " and ") + Coverage(**bytes, part);
  }
  return Fail(ErrorCode::kNotFound, "kallsyms not found by signature in {}{}{}", looked_at,
              failure.empty() ? "" : ": ", failure);
}

}  // namespace dmaudit
