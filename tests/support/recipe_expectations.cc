// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/recipe_expectations.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "support/dump_builder.h"

namespace dmaudit::test {

void RecipeExpectations::Add(const Words& words) {
  any_ = true;
  const std::string what = words.size() > 1 ? words[1] : "";
  if (what == "error") {
    error_ = RecipeText(words, 2);
  } else if (what == "page") {
    const auto [first, last] = RecipeRange(words.at(2));
    for (uint64_t frame = first; frame <= last; ++frame) {
      ExpectedPage page;
      page.seed = frame;
      page.state = words.at(3);
      if (page.state == "mixed") {
        for (size_t i = 4; i < words.size(); ++i) {
          const size_t colon = words[i].find(':');
          page.parts.emplace_back(words[i].substr(0, colon),
                                  static_cast<uint32_t>(RecipeNumber(words[i].substr(colon + 1))));
        }
      } else if (words.size() > 4 && words[4] == "zeros") {
        page.zeros = true;
      } else if (words.size() > 4) {
        page.seed = RecipeNumber(words[4]);
      }
      if (!pages_.emplace(frame, page).second) RecipeError("a page is expected twice");
    }
  } else if (what == "says") {
    says_ = RecipeText(words, 2);
  } else if (what == "incomplete") {
    incomplete_ = true;
  } else if (what == "info") {
    info_.emplace_back(words.at(2), RecipeText(words, 3));
  } else {
    RecipeError("expects what?");
  }
}

std::string RecipeExpectations::Check(std::vector<DumpInput> inputs,
                                      const OpenOptions& options) const {
  if (!any_) return "the recipe expects nothing\n";
  DiagnosticSink sink;
  const Result<std::vector<Dump>> dumps = OpenInputs(std::move(inputs), sink, options);
  if (error_) {
    if (dumps) return "opened, though an error is expected\n";
    if (dumps.error().message.find(*error_) != std::string::npos) return "";
    return "another error: " + dumps.error().message + "\n";
  }
  if (!dumps) return "does not open: " + dumps.error().message + "\n";
  if (dumps->size() != 1) return fmt::format("{} dumps\n", dumps->size());
  return CheckDump(dumps->front(), sink);
}

std::string RecipeExpectations::CheckDump(const Dump& dump, const DiagnosticSink& sink) const {
  std::string wrong;
  const auto complain = [&wrong](const std::string& what) { wrong += what + "\n"; };
  if (Ids(sink) != says_) complain(fmt::format("says \"{}\", not \"{}\"", Ids(sink), says_));
  if (dump.info.incomplete != incomplete_) {
    complain(incomplete_ ? "does not claim to be incomplete" : "claims to be incomplete");
  }
  if (incomplete_ && !sink.incomplete()) complain("no diagnostic says that it is incomplete");
  const std::map<std::string, std::string> info = {{"format", dump.info.format},
                                                   {"detail", dump.info.format_detail},
                                                   {"machine", dump.info.machine},
                                                   {"compression", dump.info.compression}};
  for (const auto& [key, value] : info_) {
    if (key == "note") {
      const bool found =
          std::any_of(dump.notes.begin(), dump.notes.end(), [&value = value](const DumpNote& note) {
            return value == note.name + " " + std::string(AsText(note.descriptor));
          });
      if (!found) complain("no note: " + value);
    } else if (info.at(key) != value) {
      complain(fmt::format("{} is \"{}\", not \"{}\"", key, info.at(key), value));
    }
  }
  // Once in order, once against it: a context must not remember the wrong thing.
  const auto context = dump.memory->MakeContext();
  for (const auto& [frame, page] : pages_) wrong += CheckPage(dump, *context, frame, page);
  for (auto it = pages_.rbegin(); it != pages_.rend() && wrong.empty(); ++it) {
    wrong += CheckPage(dump, *context, it->first, it->second);
  }
  return wrong + CheckDescribed(dump);
}

std::string RecipeExpectations::CheckPage(const Dump& dump, DecodeContext& context, uint64_t frame,
                                          const ExpectedPage& want) {
  const uint32_t size = dump.memory->page_size();
  const PhysAddr base(frame * size);
  Page page;
  dump.memory->ReadPage(base, context, page);
  std::string got;
  for (const PageExtent& extent : page.extents) {
    got += fmt::format("{}{}:{:#x}", got.empty() ? "" : " ", ToString(extent.state), extent.size);
  }
  std::string wanted;
  if (want.state == "mixed") {
    for (const auto& [state, bytes] : want.parts) {
      wanted += fmt::format("{}{}:{:#x}", wanted.empty() ? "" : " ", state, bytes);
    }
  } else {
    wanted = fmt::format("{}:{:#x}", want.state, size);
  }
  if (got != wanted) return fmt::format("page {:#x} is {}, not {}\n", frame, got, wanted);
  const std::vector<std::byte> content =
      want.zeros ? std::vector<std::byte>(size) : RecipePage(want.seed, size);
  for (const PageExtent& extent : page.extents) {
    const bool data = extent.state == ByteState::kData;
    for (uint32_t i = extent.offset; i < extent.offset + extent.size; ++i) {
      if (page.bytes[i] == (data ? content[i] : std::byte{0})) continue;
      return fmt::format("page {:#x}: byte {:#x} is wrong\n", frame, i);
    }
  }
  // What can be told without decoding is right, or too hopeful.
  const ByteState hint = dump.memory->PageStateHint(base);
  const PageExtent bad = page.FirstUnreadable(0, size);
  const bool decoding = hint == ByteState::kData &&
                        (bad.state == ByteState::kCorrupt || bad.state == ByteState::kTruncated);
  if (hint != bad.state && !(IsReadable(hint) && IsReadable(bad.state)) && !decoding) {
    return fmt::format("page {:#x}: the hint is {}\n", frame, ToString(hint));
  }
  return "";
}

namespace {

// By ascending ranges: the state of the first byte of a page that is not known, or kData.
ByteState FirstUnreadable(const std::vector<std::pair<PhysRange, ByteState>>& ranges, uint64_t base,
                          uint64_t size) {
  auto range = std::partition_point(ranges.begin(), ranges.end(),
                                    [base](const auto& r) { return r.first.last.value() < base; });
  const uint64_t last = base + (size - 1);
  for (uint64_t at = base;; ++range) {
    if (range == ranges.end() || range->first.first.value() > at) return ByteState::kAbsent;
    if (!IsReadable(range->second)) return range->second;
    if (range->first.last.value() >= last) return ByteState::kData;
    at = range->first.last.value() + 1;
  }
}

}  // namespace

// Every page that the dump describes, and every page it says it stores, is expected to be
// something.
std::string RecipeExpectations::CheckDescribed(const Dump& dump) const {
  std::string wrong;
  const auto complain = [&wrong](const std::string& what) { wrong += what + "\n"; };
  const uint64_t size = dump.memory->page_size();
  constexpr uint64_t kMaxPages = 100000;
  constexpr unsigned kMaxComplaints = 20;
  uint64_t pages = 0;
  unsigned complaints = 0;
  dump.memory->VisitRam([&](PhysRange range) {
    for (uint64_t frame = range.first.value() / size; frame <= range.last.value() / size; ++frame) {
      const auto page = pages_.find(frame);
      if (page == pages_.end()) {
        complain(fmt::format("nothing is expected of page {:#x}", frame));
        if (++complaints == kMaxComplaints) return false;
      }
      if (page != pages_.end() && page->second.state == "absent") {
        complain(fmt::format("page {:#x} is described", frame));
      }
      if (++pages > kMaxPages) return false;
    }
    return true;
  });
  std::vector<std::pair<PhysRange, ByteState>> ranges;
  dump.memory->VisitStates([&](PhysRange range, ByteState state) {
    ranges.emplace_back(range, state);
    return ranges.size() < kMaxPages;
  });
  for (const auto& [frame, page] : pages_) {
    const ByteState told = FirstUnreadable(ranges, frame * size, size);
    const ByteState hint = dump.memory->PageStateHint(PhysAddr(frame * size));
    if (told != hint && !(IsReadable(told) && IsReadable(hint))) {
      complain(fmt::format("page {:#x} is {} by ranges, {} by itself", frame, ToString(told),
                           ToString(hint)));
    }
  }
  std::set<uint64_t> stored;
  dump.memory->VisitStored([&](PhysAddr base, uint32_t) {
    stored.insert(base.value() / size);
    return stored.size() < kMaxPages;
  });
  for (const auto& [frame, page] : pages_) {
    const bool data = page.state == "data";
    if (data && !stored.contains(frame)) {
      complain(fmt::format("page {:#x} is not visited as stored", frame));
    }
    if ((page.state == "excluded" || page.state == "absent" || page.state == "lost") &&
        stored.contains(frame)) {
      complain(fmt::format("page {:#x} is visited as stored", frame));
    }
  }
  return wrong;
}

}  // namespace dmaudit::test
