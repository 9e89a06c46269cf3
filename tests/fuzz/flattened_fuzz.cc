// SPDX-License-Identifier: GPL-2.0-or-later
// A stream in two readings: as given, and as the dump it holds.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fuzz/read_dump.h"
#include "vmcore/container/flattened_source.h"
#include "vmcore/io/memory_source.h"

namespace {

using namespace dmaudit;

// Reads agree with each other, however they are cut, and stop only where a cut stream has nothing.
void CheckReads(const FlattenedSource& source) {
  std::vector<std::byte> whole(size_t{1} << 14);
  const Result<size_t> got = source.ReadAt(FileOffset(0), whole);
  fuzz::Require(got && *got <= whole.size() && *got <= source.size());
  fuzz::Require(source.cut() || *got == std::min<uint64_t>(whole.size(), source.size()));
  std::vector<std::byte> part(100);
  for (size_t at = 0; at < *got; at += 1777) {
    const Result<size_t> size = source.ReadAt(FileOffset(at), part);
    fuzz::Require(size && *size >= std::min(part.size(), *got - at));
    fuzz::Require(std::equal(part.begin(),
                             part.begin() + static_cast<ptrdiff_t>(std::min(*size, *got - at)),
                             whole.begin() + static_cast<ptrdiff_t>(at)));
    const uint64_t data = source.SkipHole(FileOffset(at)).value();
    fuzz::Require(data >= at && data <= source.size());
    for (uint64_t i = at; i < std::min<uint64_t>(data, *got); ++i) {
      fuzz::Require(whole[i] == std::byte{0});
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto stream =
      std::make_shared<MemorySource>(std::vector<std::byte>(bytes.begin(), bytes.end()));
  DiagnosticSink sink;
  if (const auto source = FlattenedSource::Open(stream, "input", sink)) CheckReads(**source);
  if (const auto dump = OpenDump(stream, "input", sink)) fuzz::ReadDump(*dump);
  return 0;
}
