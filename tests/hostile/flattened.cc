// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "base/bytes.h"
#include "hostile/lies.h"
#include "support/dump_builder.h"
#include "support/flatten.h"

namespace dmaudit::test {
namespace {

using Stream = std::vector<std::byte>;

constexpr size_t kHeader = 4096;
constexpr size_t kRecord = 16 + 4096;  // of the well-formed stream

// Where the n-th record of the well-formed stream begins.
constexpr size_t RecordAt(size_t n) { return kHeader + n * kRecord; }

void PutWord(Stream& stream, size_t at, uint64_t value) {
  StoreUnchecked<uint64_t>(stream, at, value, ByteOrder::kBig);
}

// The stream without its end record, for more records.
FlatStream Continue(const Stream& stream) {
  FlatStream out;
  out.bytes().assign(stream.begin(), stream.end() - 16);
  return out;
}

void Append(Stream& stream, const std::function<void(FlatStream&)>& records) {
  FlatStream out = Continue(stream);
  records(out);
  stream = std::move(out.End().bytes());
}

// Records of one byte at every second place, and segments that all lie over them.
Stream AliasedBytes(size_t records, size_t segments) {
  constexpr uint64_t kPlace = 0x4000;
  ElfBuilder builder;
  for (size_t i = 0; i < segments; ++i) builder.AddLoad(0x100000 + (uint64_t{i} << 32), {}, 1);
  ElfImage image = builder.Build();
  for (size_t i = 0; i < segments; ++i) {
    image.SetSegment(i + 1, "p_offset", kPlace);
    image.SetSegment(i + 1, "p_filesz", 2 * records);
    image.SetSegment(i + 1, "p_memsz", 2 * records);
  }
  FlatStream stream;
  stream.Record(0, image.bytes);
  for (size_t i = 0; i < records; ++i) stream.Record(kPlace + 2 * i, AsBytes("x"));
  return std::move(stream.End().bytes());
}

}  // namespace

void AddFlattened(std::vector<HostileInput>& inputs) {
  KdumpBuilder builder;
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib);
  builder.AddPage(5, PatternPage(2), PageCodec::kZlib).AddExcluded(6);
  builder.AddPage(9, PatternPage(3));
  const KdumpImage image = builder.Build();
  const Stream good = Flatten(image.bytes, 4096);
  const std::vector<Lie<Stream>> lies = {
      {"type 0", [](Stream& s) { PutWord(s, 16, 0); },
       "refused: flattened header at 0x10: type 0 version 1, expected 1 and 1"},
      {"version -1", [](Stream& s) { PutWord(s, 24, UINT64_MAX); },
       "refused: flattened header at 0x10: type 1 version -1, expected 1 and 1"},
      {"cut inside the header", [](Stream& s) { s.resize(100); },
       "refused: flattened stream without a record"},
      {"nothing behind the header", [](Stream& s) { s.resize(kHeader); },
       "refused: flattened stream without a record"},
      {"cut inside a record's header", [](Stream& s) { s.resize(RecordAt(3) + 8); },
       "refused: kdump page bitmaps at 0x2000: they end at 0x4000, the file at 0x3000"},
      {"cut inside a record", [](Stream& s) { s.erase(s.end() - (16 + 100), s.end()); },
       "data data truncated | flattened.cut kdump.truncated"},
      {"position -2", [](Stream& s) { PutWord(s, RecordAt(1), UINT64_MAX - 1); },
       "refused: flattened stream without a record that can be believed"},
      {"position -2^63", [](Stream& s) { PutWord(s, RecordAt(2), uint64_t{1} << 63); },
       "refused: kdump sub header at 0x1000: the file ends at 0x1000"},
      {"size -1", [](Stream& s) { PutWord(s, RecordAt(5) + 8, UINT64_MAX); },
       "truncated truncated truncated | flattened.cut kdump.truncated"},
      {"size 2^63 - 1", [](Stream& s) { PutWord(s, RecordAt(0) + 8, INT64_MAX); },
       "refused: flattened stream without a record"},
      {"size that leaves the file", [](Stream& s) { PutWord(s, RecordAt(5) + 8, 1U << 30); },
       "data data data | flattened.cut"},
      {"position and size leave 63 bits",
       [](Stream& s) { Append(s, [](FlatStream& f) { f.Header(INT64_MAX, 1); }); },
       "data data truncated | flattened.cut kdump.truncated"},
      {"a record at the far end of a file",
       [](Stream& s) { Append(s, [](FlatStream& f) { f.Record(INT64_MAX - 1, AsBytes("x")); }); },
       "data data data |"},
      {"end record with a size", [](Stream& s) { PutWord(s, s.size() - 8, 12345); },
       "data data truncated | flattened.cut kdump.truncated"},
      {"records behind the end record",
       [&](Stream& s) {
         FlatStream more;
         more.Record(0, Stream(8192));
         s.insert(s.end(), more.bytes().begin() + kHeader, more.bytes().end());
       },
       "data data truncated | flattened.cut kdump.truncated"},
      {"a stream inside a stream", [](Stream& s) { s = Flatten(s, 4096); },
       "refused: a flattened stream inside a flattened stream"},
      {"no record of the bitmaps",
       [&](Stream& s) {
         s.erase(s.begin() + static_cast<ptrdiff_t>(RecordAt(image.bitmap1 / 4096)),
                 s.begin() + static_cast<ptrdiff_t>(RecordAt(image.descriptors / 4096)));
       },
       "refused: kdump page bitmap at 0x3000: not in a record of the stream"},
      {"no record of the descriptors",
       [&](Stream& s) {
         s.erase(s.begin() + static_cast<ptrdiff_t>(RecordAt(image.descriptors / 4096)),
                 s.begin() + static_cast<ptrdiff_t>(RecordAt(image.descriptors / 4096 + 1)));
       },
       "lost lost lost | kdump.lost-pages"},
      {"no record of the sub header",
       [&](Stream& s) {
         s.erase(s.begin() + static_cast<ptrdiff_t>(RecordAt(1)),
                 s.begin() + static_cast<ptrdiff_t>(RecordAt(2)));
       },
       "refused: kdump sub header at 0x1000: not all of it is in a record of the stream"},
      {"the last record takes the header away",
       [](Stream& s) { Append(s, [](FlatStream& f) { f.Record(428, Stream(4)); }); },
       "refused: kdump header at 0x1ac: block size is 0x0"},
      {"100,000 records of nothing",
       [](Stream& s) {
         Append(s, [](FlatStream& f) {
           for (int i = 0; i < 100000; ++i) f.Header(i + 1, 0);
         });
       },
       "data data data |"},
      {"100,000 records of one byte, one place",
       [&](Stream& s) {
         Append(s, [&](FlatStream& f) {
           for (int i = 0; i < 100000; ++i) f.Record(0, AsBytes("K"));
         });
       },
       "data data data |"},
      {"records each inside the one before, outermost first",
       [&](Stream& s) {
         Append(s, [&](FlatStream& f) {
           for (size_t i = 0; i < 2000; ++i) {
             f.Record(i, std::span(image.bytes).subspan(i, 4096 - 2 * i));
           }
         });
       },
       "data data data |"},
      {"records each inside the one behind, innermost first",
       [&](Stream& s) {
         Append(s, [&](FlatStream& f) {
           for (size_t i = 2000; i-- > 0;) {
             f.Record(i, std::span(image.bytes).subspan(i, 4096 - 2 * i));
           }
         });
       },
       "data data data |"},
  };
  Add("flattened", good, {{0x1000, 1}, {0x5000, 2}, {0x9000, 3}}, lies, inputs);
  const std::vector<Lie<Stream>> aliases = {
      {"20,000 records of one byte in 2 segments", [](Stream& s) { s = AliasedBytes(20000, 2); },
       "lost | elf.truncated elf.unwritten"},
      {"20,000 records of one byte in 104 segments",
       [](Stream& s) { s = AliasedBytes(20000, 104); },
       "refused: ELF core with more than 109295 stretches of memory, which is more than a file of "
       "this size justifies"},
  };
  Add("flattened ELF", Stream(), {{0x100000, 1}}, aliases, inputs);
}

}  // namespace dmaudit::test
