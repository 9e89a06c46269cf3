// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/page_states.h"

#include <numeric>

namespace dmaudit {

uint64_t PageStates::total() const {
  return std::accumulate(pages.begin(), pages.end(), uint64_t{0});
}

PageStateCounter::PageStateCounter(uint64_t page_size) { states_.page_size = page_size; }

void PageStateCounter::Add(PhysRange range, ByteState state) {
  const uint64_t size = states_.page_size;
  const uint64_t first_page = range.first.value() / size;
  const uint64_t last_page = range.last.value() / size;
  const uint64_t begin = range.first.value() % size;
  const uint64_t end = range.last.value() % size + 1;
  if (first_page == last_page) return AddPart(first_page, begin, end, state);
  AddPart(first_page, begin, size, state);
  states_.pages[static_cast<size_t>(state)] += last_page - first_page - 1;
  AddPart(last_page, 0, end, state);
}

PageStates PageStateCounter::Finish() {
  Settle();
  return states_;
}

// Bytes begin .. end - 1 of one page.
void PageStateCounter::AddPart(uint64_t page, uint64_t begin, uint64_t end, ByteState state) {
  if (shared_.end != 0 && shared_.page != page) Settle();
  if (shared_.end == 0) shared_ = {page, 0, state};
  if (begin != shared_.end && (shared_.end == 0 || IsReadable(shared_.state))) {
    shared_.state = ByteState::kAbsent;
  } else if (IsReadable(shared_.state) && state != shared_.state) {
    shared_.state = IsReadable(state) ? ByteState::kData : state;
  }
  shared_.any_known |= IsReadable(state);
  shared_.end = end;
}

void PageStateCounter::Settle() {
  if (shared_.end == 0) return;
  if (shared_.end != states_.page_size && IsReadable(shared_.state)) {
    shared_.state = ByteState::kAbsent;
  }
  ++states_.pages[static_cast<size_t>(shared_.state)];
  if (shared_.any_known && !IsReadable(shared_.state)) ++states_.in_part;
  shared_ = {};
}

PageStates CountPageStates(const PhysicalMemory& memory) {
  PageStateCounter counter(memory.page_size());
  memory.VisitStates([&](PhysRange range, ByteState state) {
    counter.Add(range, state);
    return true;
  });
  return counter.Finish();
}

}  // namespace dmaudit
