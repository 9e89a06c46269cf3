// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "hostile/lies.h"
#include "support/dump_builder.h"

namespace dmaudit::test {
namespace {

using Parts = std::vector<KdumpImage>;

// The part of a dump with frames first .. end - 1: all headers and bitmaps, the descriptors of its
// own pages, room for those of all others, and its data.
KdumpImage PartOf(const KdumpImage& whole, const std::vector<uint64_t>& stored, uint64_t first,
                  uint64_t end) {
  KdumpImage part = whole;
  std::fill(part.bytes.begin() + static_cast<ptrdiff_t>(part.descriptors), part.bytes.end(),
            std::byte{0});
  part.bytes.erase(part.bytes.begin() + static_cast<ptrdiff_t>(part.data), part.bytes.end());
  uint64_t index = 0;
  for (uint64_t i = 0; i < stored.size(); ++i) {
    if (stored[i] < first || stored[i] >= end) continue;
    part.SetDescriptor(index, "offset", part.bytes.size());
    for (const char* field : {"size", "flags"}) {
      part.SetDescriptor(index, field, whole.GetDescriptor(i, field));
    }
    const auto data =
        whole.bytes.begin() + static_cast<ptrdiff_t>(whole.GetDescriptor(i, "offset"));
    part.bytes.insert(part.bytes.end(), data,
                      data + static_cast<ptrdiff_t>(whole.GetDescriptor(i, "size")));
    ++index;
  }
  part.Set("split", 1).Set("start_pfn", first).Set("end_pfn", end);
  part.Set("start_pfn_64", first).Set("end_pfn_64", end);
  return part;
}

void SetRange(KdumpImage& part, uint64_t first, uint64_t end) {
  part.Set("start_pfn_64", first).Set("end_pfn_64", end);
}

}  // namespace

void AddSplit(std::vector<HostileInput>& inputs) {
  KdumpBuilder builder;
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib);
  builder.AddPage(5, PatternPage(2), PageCodec::kZlib).AddExcluded(6);
  builder.AddPage(40, PatternPage(3));
  const KdumpImage whole = builder.Build();
  const Parts good = {PartOf(whole, {1, 5, 40}, 0, 4), PartOf(whole, {1, 5, 40}, 4, 32),
                      PartOf(whole, {1, 5, 40}, 32, 64)};
  const std::vector<Lie<Parts>> lies = {
      {"the middle part is missing", [](Parts& p) { p.erase(p.begin() + 1); },
       "data lost data | kdump.part-missing"},
      {"the first part twice, the last not at all", [](Parts& p) { p[2] = p[0]; },
       "lost data lost | kdump.part-doubled kdump.part-missing"},
      {"all of them 40 times",
       [](Parts& p) {
         const Parts once = p;
         for (int i = 1; i < 40; ++i) p.insert(p.end(), once.begin(), once.end());
       },
       "lost lost lost | kdump.part-doubled kdump.part-doubled kdump.part-doubled"},
      {"end before start", [](Parts& p) { SetRange(p[1], 32, 4); },
       "refused: kdump sub header: part of a split dump with page frames 0x20 to 0x4, max_mapnr is "
       "0x40"},
      {"start and end are -1", [](Parts& p) { SetRange(p[1], UINT64_MAX, UINT64_MAX); },
       "refused: kdump sub header: part of a split dump with page frames 0xffffffffffffffff to "
       "0xffffffffffffffff, max_mapnr is 0x40"},
      {"end beyond the last frame", [](Parts& p) { SetRange(p[2], 32, uint64_t{1} << 60); },
       "data data data |"},
      {"every part is of all frames",
       [](Parts& p) {
         for (KdumpImage& part : p) SetRange(part, 0, 64);
       },
       "lost lost lost | kdump.lost-pages*3 kdump.part-doubled"},
      {"a part without frames", [](Parts& p) { SetRange(p[1], 4, 4); },
       "data lost data | kdump.bitmap-short kdump.part-missing"},
      {"a part one frame too long", [](Parts& p) { SetRange(p[0], 0, 6); },
       "data lost data | kdump.lost-pages kdump.part-doubled"},
      {"one part has other bitmaps", [](Parts& p) { p[1].bytes[p[1].bitmap2] ^= std::byte{0x80}; },
       "refused: not a part of the same dump as"},
      {"one part is cut in its bitmaps", [](Parts& p) { p[2].bytes.resize(p[2].bitmap2 + 1); },
       "refused: kdump page bitmaps at 0x2000: they end at 0x4000, the file at 0x3001"},
      {"one part is cut in its descriptors",
       [](Parts& p) { p[1].bytes.resize(p[1].descriptors + 10); },
       "data truncated data | kdump.truncated"},
      {"descriptors of one part lead into its headers",
       [](Parts& p) { p[0].SetDescriptor(0, "offset", 4096); }, "corrupt data data |"},
      {"split is 2", [](Parts& p) { p[1].Set("split", 2); }, "data data data |"},
  };
  Add("split", good, {{0x1000, 1}, {0x5000, 2}, {0x28000, 3}}, lies, inputs);
}

}  // namespace dmaudit::test
