// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/synthetic_content.h"

#include <algorithm>

namespace dmaudit::bench {

SyntheticContent::SyntheticContent(const PhysicalMemory& base)
    : base_(base), context_(base.MakeContext()) {
  constexpr uint64_t kUnit = uint64_t{4} << 30;
  base.VisitRam([&](PhysRange range) {
    end_of_base_ = range.last.value() / kUnit * kUnit + kUnit;
    for (uint64_t at = range.first.value() / kPage * kPage; at <= range.last.value(); at += kPage) {
      if (HasBytes(PhysAddr(at))) base_pages_.push_back(at);
    }
    return true;
  });
}

bool SyntheticContent::HasBytes(PhysAddr page) {
  const ByteState hint = base_.PageStateHint(page);
  if (hint != ByteState::kRedacted) return IsReadable(hint);
  // Of a distilled page, some words may be there.
  base_.ReadPage(page, *context_, page_);
  return std::ranges::any_of(page_.extents,
                             [](const PageExtent& extent) { return IsReadable(extent.state); });
}

std::span<std::byte> SyntheticContent::Change(PhysAddr page) {
  const auto [it, fresh] = changed_.try_emplace(page.value());
  if (fresh) {
    it->second.resize(kPage);
    if (std::ranges::binary_search(base_pages_, page.value())) {
      base_.ReadPage(page, *context_, page_);
      it->second = page_.bytes;
    }
  }
  return it->second;
}

void SyntheticContent::VisitRam(const std::function<bool(PhysRange)>& visit) const {
  bool go_on = true;
  base_.VisitRam([&](PhysRange range) { return go_on = visit(range); });
  for (size_t i = 0; go_on && i < more_ram_.size(); ++i) go_on = visit(more_ram_[i]);
}

void SyntheticContent::VisitPages(const std::function<bool(const PageRun&)>& visit) const {
  // Three ascending sequences, merged.
  auto base = base_pages_.begin();
  auto changed = changed_.begin();
  uint64_t zero = zero_pages_ ? zero_pages_->range.first.value() : UINT64_MAX;
  for (;;) {
    uint64_t next = zero;
    if (base != base_pages_.end()) next = std::min(next, *base);
    if (changed != changed_.end()) next = std::min(next, changed->first);
    if (next == UINT64_MAX || !visit({.first = PhysAddr(next)})) return;
    if (base != base_pages_.end() && *base == next) ++base;
    if (changed != changed_.end() && changed->first == next) ++changed;
    if (zero == next) {
      zero += zero_pages_->stride * kPage;
      if (zero > zero_pages_->range.last.value()) zero = UINT64_MAX;
    }
  }
}

class SyntheticContent::Filler : public PageFiller {
 public:
  explicit Filler(const SyntheticContent& content)
      : content_(content), context_(content.base_.MakeContext()) {}

  Result<StoredAs> Fill(PhysAddr base, std::span<std::byte> out) override {
    content_.Copy(base, *context_, page_, out);
    return StoredAs::kData;
  }

 private:
  const SyntheticContent& content_;
  std::unique_ptr<DecodeContext> context_;
  Page page_;
};

std::unique_ptr<PageFiller> SyntheticContent::MakeFiller() const {
  return std::make_unique<Filler>(*this);
}

void SyntheticContent::Copy(PhysAddr base, DecodeContext& context, Page& page,
                            std::span<std::byte> out) const {
  if (const auto it = changed_.find(base.value()); it != changed_.end()) {
    std::ranges::copy(it->second, out.begin());
  } else if (base.value() < end_of_base_) {
    base_.ReadPage(base, context, page);
    std::ranges::copy(page.bytes, out.begin());
  } else {
    std::ranges::fill(out, std::byte{0});
  }
}

}  // namespace dmaudit::bench
