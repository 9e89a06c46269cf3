// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <algorithm>

#include "support/log_builder.h"

namespace dmaudit {
namespace {

using test::LogRun;
using test::RingBuilder;
using Texts = std::vector<std::string>;

constexpr uint32_t kCountBits = 4;
constexpr uint32_t kTextBits = 10;

struct ThreeRecords {
  RingBuilder ring{kCountBits, kTextBits};
  uint64_t first = ring.Add("first", 1000);
  uint64_t second = ring.Add("second", 2000);
  uint64_t third = ring.Add("third", 3000);
};

void ExpectOnly(LogRun& run, const Texts& texts, const Texts& notes) {
  const Status status = run.Run();
  REQUIRE_MESSAGE(status, status.error().message);
  CHECK(run.texts() == texts);
  CHECK(run.notes() == notes);
  CHECK_FALSE(run.sink.incomplete());
}

TEST_CASE("a ring gives its records oldest first, with number and time") {
  const ThreeRecords log;
  LogRun run(log.ring);
  ExpectOnly(run, {"first", "second", "third"}, {});
  CHECK(run.seen[0].sequence == 0);
  CHECK(run.seen[2].sequence == 2);
  CHECK(run.seen[1].nanoseconds == 2000);
  CHECK(run.evidence.empty());
}

TEST_CASE("a ring without records gives none") {
  LogRun run(RingBuilder(kCountBits, kTextBits));
  ExpectOnly(run, {}, {});
}

TEST_CASE("descriptors and text wrap many times") {
  for (const uint32_t text_bits : {8U, 9U, 10U}) {
    CAPTURE(text_bits);
    RingBuilder ring(kCountBits, text_bits);
    Texts all;
    for (int i = 0; i < 100; ++i) {
      all.push_back(
          fmt::format("line {} {}", i, std::string(static_cast<size_t>(i * 7 % 30), 'x')));
      ring.Add(all.back());
    }
    LogRun run(ring);
    const Status status = run.Run();
    REQUIRE(status);
    CHECK(run.notes().empty());
    REQUIRE(run.seen.size() >= 4);
    CHECK(run.seen.size() <= 16);
    CHECK(run.texts() == Texts(all.end() - static_cast<long>(run.seen.size()), all.end()));
  }
}

TEST_CASE("a block that would straddle the end of the text ring lies at its start") {
  RingBuilder ring(kCountBits, 7);
  ring.Add(std::string(80, 'a'));                           // 88 of 128 bytes
  const uint64_t wrapped = ring.Add(std::string(36, 'b'));  // 44 -> 48: would end at 136
  CHECK(ring.BlockAddress(wrapped) == RingBuilder::kText);
  LogRun run(ring);
  ExpectOnly(run, {std::string(36, 'b')}, {});
}

TEST_CASE("a block may end exactly at the end of the text ring") {
  // The first wrap lies just below position 0: `next` is 0.
  RingBuilder ring(kCountBits, 7);
  const uint64_t id = ring.Add("abc");
  ring.at(id).begin = uint64_t{0} - 16;
  ring.at(id).next = 0;
  std::rotate(ring.text.begin(), ring.text.begin() + 16, ring.text.end());
  LogRun run(ring);
  ExpectOnly(run, {"abc"}, {});
}

TEST_CASE("an empty line is a record, lost text is none") {
  RingBuilder ring(kCountBits, kTextBits);
  ring.Add("before");
  ring.Add("");
  ring.AddLost();
  ring.Add("after");
  LogRun run(ring);
  ExpectOnly(run, {"before", "", "after"}, {});
}

TEST_CASE("only committed and finalized descriptors hold records") {
  struct Case {
    uint64_t state;
    bool given;
  };
  for (const Case& c : {Case{RingBuilder::kReserved, false}, Case{RingBuilder::kCommitted, true},
                        Case{RingBuilder::kFinalized, true}, Case{RingBuilder::kReusable, false}}) {
    CAPTURE(c.state);
    ThreeRecords log;
    log.ring.at(log.second).state = c.state;
    LogRun run(log.ring);
    ExpectOnly(run, c.given ? Texts{"first", "second", "third"} : Texts{"first", "third"}, {});
  }
}

TEST_CASE("a descriptor of another id is damage") {
  ThreeRecords log;
  log.ring.at(log.second).id += log.ring.descriptors.size();
  LogRun run(log.ring);
  ExpectOnly(run, {"first", "third"}, {"log.damaged"});
}

TEST_CASE("the newest id may be published before its descriptor is taken") {
  ThreeRecords log;
  ++log.ring.head_id;
  LogRun run(log.ring);
  ExpectOnly(run, {"first", "second", "third"}, {});
}

TEST_CASE("a text block of another id is damage") {
  ThreeRecords log;
  log.ring.at(log.second).begin = log.ring.at(log.first).begin;
  LogRun run(log.ring);
  ExpectOnly(run, {"first", "third"}, {"log.damaged"});
}

TEST_CASE("text positions that no block can have are damage") {
  ThreeRecords log;
  const uint64_t size = log.ring.text.size();
  const RingBuilder::Descriptor good = log.ring.at(log.second);
  struct Case {
    const char* what;
    uint64_t begin;
    uint64_t next;
  };
  for (const Case& c : {
           Case{"next before begin", good.next, good.begin},
           Case{"empty block", good.begin, good.begin},
           Case{"begin off alignment", good.begin + 2, good.next},
           Case{"next off alignment", good.begin, good.next + 4},
           Case{"only begin says no block", 1, good.next},
           Case{"only next says no block", good.begin, 1},
           Case{"longer than the ring", good.begin, good.begin + size + 8},
           Case{"two wraps apart", good.begin, good.next + 2 * size},
           Case{"room for the id only", good.begin, good.begin + 8},
       }) {
    CAPTURE(c.what);
    log.ring.at(log.second).begin = c.begin;
    log.ring.at(log.second).next = c.next;
    LogRun run(log.ring);
    ExpectOnly(run, {"first", "third"}, {"log.damaged"});
  }
}

TEST_CASE("text as long as its block is whole, one byte more is damage") {
  for (const int more : {-1, 0, 1}) {
    CAPTURE(more);
    RingBuilder ring(kCountBits, kTextBits);
    const uint64_t id = ring.Add("12345678");
    ring.info(id).text_length = static_cast<uint16_t>(8 + more);
    LogRun run(ring);
    if (more > 0) {
      ExpectOnly(run, {}, {"log.damaged"});
    } else {
      ExpectOnly(run, {std::string("12345678").substr(0, static_cast<size_t>(8 + more))}, {});
    }
  }
}

TEST_CASE("damage is said once, with its count") {
  ThreeRecords log;
  log.ring.at(log.first).id ^= 64;
  log.ring.at(log.second).id ^= 64;
  LogRun run(log.ring);
  ExpectOnly(run, {"third"}, {"log.damaged"});
  CHECK(run.sink.diagnostics()[0].message.find(" 2 damaged") != std::string::npos);
  CHECK(run.sink.diagnostics()[0].effect == Effect::kNote);
}

TEST_CASE("a tail ahead of the head is damage, and what the head reaches is still read") {
  ThreeRecords log;
  log.ring.tail_id = log.ring.head_id + 1;
  LogRun run(log.ring);
  ExpectOnly(run, {"first", "second", "third"}, {"log.damaged"});
}

TEST_CASE("a full ring is no damage, one id more is") {
  for (const uint64_t more : {0U, 1U}) {
    CAPTURE(more);
    RingBuilder ring(kCountBits, kTextBits);
    for (int i = 0; i < 40; ++i) ring.Add("x");
    REQUIRE(((ring.head_id - ring.tail_id) & RingBuilder::kIdMask) + 1 == 16);
    ring.tail_id -= more;
    LogRun run(ring);
    ExpectOnly(run, Texts(16, "x"), more == 0 ? Texts{} : Texts{"log.damaged"});
  }
}

TEST_CASE("impossible sizes are errors") {
  struct Case {
    uint32_t count_bits;
    uint32_t text_bits;
  };
  for (const Case& c : {Case{0, kTextBits}, Case{32, kTextBits}, Case{63, kTextBits},
                        Case{64, kTextBits}, Case{UINT32_MAX, kTextBits}, Case{kCountBits, 0},
                        Case{kCountBits, 3}, Case{kCountBits, 32}, Case{kCountBits, 64}}) {
    CAPTURE(c.count_bits);
    CAPTURE(c.text_bits);
    ThreeRecords log;
    log.ring.count_bits = c.count_bits;
    log.ring.text_bits = c.text_bits;
    LogRun run(log.ring);
    const Status status = run.Run();
    REQUIRE_FALSE(status);
    CHECK(status.error().code == ErrorCode::kMalformed);
    CHECK(run.seen.empty());
  }
}

TEST_CASE("sizes that lie but could be are survived") {
  for (const uint32_t count_bits : {1U, 3U, 5U, 12U, 31U}) {
    for (const uint32_t text_bits : {4U, 9U, 11U, 31U}) {
      CAPTURE(count_bits);
      CAPTURE(text_bits);
      ThreeRecords log;
      log.ring.count_bits = count_bits;
      log.ring.text_bits = text_bits;
      LogRun run(log.ring);
      CHECK(run.Run());
      CHECK(run.seen.size() <= 3);
    }
  }
}

TEST_CASE("more records than the budget: the middle is left out, and said") {
  ThreeRecords log;
  log.ring.count_bits = 31;
  log.ring.tail_id = log.ring.head_id - ((uint64_t{1} << 31) - 1);
  LogRun run(log.ring);
  const Status status = run.Run();
  REQUIRE(status);
  const Texts notes = run.notes();
  CHECK(std::count(notes.begin(), notes.end(), "log.limit") == 1);
}

TEST_CASE("arrays at the end of the address space are an error") {
  const ThreeRecords log;
  for (const uint64_t member : {8U, 16U, 56U}) {
    CAPTURE(member);
    LogRun run(log.ring);
    run.memory.WriteU64(PhysAddr(RingBuilder::kRingbuffer + member), UINT64_MAX - 100);
    const Status status = run.Run();
    REQUIRE_FALSE(status);
    CHECK(status.error().code == ErrorCode::kMalformed);
  }
}

TEST_CASE("arrays that lie on each other are survived") {
  const ThreeRecords log;
  for (const uint64_t member : {8U, 16U, 56U}) {
    for (const uint64_t target : {RingBuilder::kRingbuffer, RingBuilder::kDescriptors,
                                  RingBuilder::kInfos, RingBuilder::kText}) {
      LogRun run(log.ring);
      run.memory.WriteU64(PhysAddr(RingBuilder::kRingbuffer + member),
                          test::LinearKernelReader::kVirtual + target);
      CHECK(run.Run());
      CHECK(run.seen.size() <= log.ring.descriptors.size());
    }
  }
}

TEST_CASE("bytes that are not in the dump cost the records they hold") {
  // Text over three pages, one record in each.
  RingBuilder ring(kCountBits, 14);
  ring.Add("first");
  ring.Add(std::string(4096, 'a'));
  const uint64_t id = ring.Add("second");
  ring.Add(std::string(4096, 'b'));
  ring.Add("third");
  for (const ByteState state : {ByteState::kExcluded, ByteState::kAbsent, ByteState::kLost,
                                ByteState::kTruncated, ByteState::kCorrupt}) {
    CAPTURE(ToString(state));
    LogRun run(ring);
    run.memory.SetPageState(PhysAddr(ring.BlockAddress(id)), state);
    ExpectOnly(run, {"first", "third"}, {"log.unreadable"});
    CHECK(run.sink.diagnostics()[0].message.find(" 3 unreadable") != std::string::npos);
  }
}

TEST_CASE("redacted text is passed over silently") {
  ThreeRecords log;
  LogRun run(log.ring);
  run.memory.SetState(PhysAddr(log.ring.BlockAddress(log.second)), 16, ByteState::kRedacted);
  ExpectOnly(run, {"first", "third"}, {});
}

TEST_CASE("redacted descriptors and headers are passed over silently") {
  ThreeRecords log;
  LogRun run(log.ring);
  run.memory.SetState(PhysAddr(log.ring.DescriptorAddress(log.first)), 24, ByteState::kRedacted);
  run.memory.SetState(PhysAddr(log.ring.InfoAddress(log.second)), 88, ByteState::kRedacted);
  ExpectOnly(run, {"third"}, {});
}

TEST_CASE("unreadable descriptors and headers are said") {
  for (const bool info : {false, true}) {
    CAPTURE(info);
    ThreeRecords log;
    LogRun run(log.ring);
    const uint64_t address =
        info ? log.ring.InfoAddress(log.second) : log.ring.DescriptorAddress(log.second);
    run.memory.SetState(PhysAddr(address), 8, ByteState::kCorrupt);
    ExpectOnly(run, {"first", "third"}, {"log.unreadable"});
  }
}

TEST_CASE("without control words there is no log") {
  const ThreeRecords log;
  for (const uint64_t address : {RingBuilder::kPointer, RingBuilder::kRingbuffer}) {
    for (const ByteState state : {ByteState::kExcluded, ByteState::kRedacted}) {
      LogRun run(log.ring);
      run.memory.SetState(PhysAddr(address), 8, state);
      const Status status = run.Run();
      REQUIRE_FALSE(status);
      CHECK(status.error().code == ErrorCode::kUnknown);
    }
  }
  LogRun run(log.ring);
  run.memory.WriteU64(PhysAddr(RingBuilder::kPointer), 0);
  CHECK_FALSE(run.Run());
}

TEST_CASE("what is kept is evidence, and enough to find the record again") {
  ThreeRecords log;
  LogRun run(log.ring);
  run.visit = [](const LogRecord& record) {
    return record.text == "second" ? LogVerdict::kKeep : LogVerdict::kSkip;
  };
  ExpectOnly(run, {"first", "second", "third"}, {});
  REQUIRE(run.evidence.size() == 5);

  // All but the evidence redacted, as a distilled dump has it.
  LogRun distilled(log.ring);
  for (const uint64_t page : {RingBuilder::kPointer, RingBuilder::kRingbuffer,
                              RingBuilder::kDescriptors, RingBuilder::kInfos, RingBuilder::kText}) {
    distilled.memory.SetPageState(PhysAddr(page), ByteState::kRedacted);
  }
  for (const auto& [address, size] : run.evidence) {
    distilled.memory.SetState(PhysAddr(address), static_cast<uint32_t>(size), ByteState::kData);
  }
  ExpectOnly(distilled, {"second"}, {});
}

TEST_CASE("the visitor can stop") {
  const ThreeRecords log;
  LogRun run(log.ring);
  run.visit = [](const LogRecord& record) {
    return record.text == "second" ? LogVerdict::kStop : LogVerdict::kSkip;
  };
  ExpectOnly(run, {"first", "second"}, {});
}

TEST_CASE("a log is read page by page") {
  RingBuilder ring(12, 17);
  for (int i = 0; i < 2000; ++i) ring.Add("a line of ordinary length in a kernel log");
  LogRun run(ring);
  REQUIRE(run.Run());
  CHECK(run.seen.size() == 2000);
  // 2 for the control words, 24 pages of descriptors, 88 of headers, 32 of text; the arrays are
  // entered in the middle and left where the ring wraps.
  CHECK(run.translations <= 2 + 25 + 89 + 33);
}

TEST_CASE("VMCOREINFO that lacks or bends the layout is an error") {
  const ThreeRecords log;
  struct Case {
    const char* key;
    const char* value;  // null: taken away
    ErrorCode code;
  };
  for (const Case& c :
       {Case{"SIZE(prb_desc)", nullptr, ErrorCode::kNotFound},
        Case{"SIZE(prb_desc)", "0", ErrorCode::kMalformed},
        Case{"SIZE(printk_info)", "4097", ErrorCode::kMalformed},
        Case{"OFFSET(printk_info.text_len)", nullptr, ErrorCode::kNotFound},
        Case{"OFFSET(printk_info.text_len)", "87", ErrorCode::kMalformed},
        Case{"OFFSET(prb_desc.text_blk_lpos)", "16", ErrorCode::kMalformed},
        Case{"OFFSET(prb_desc.state_var)", "18446744073709551615", ErrorCode::kMalformed},
        Case{"OFFSET(atomic_long_t.counter)", "4097", ErrorCode::kMalformed},
        Case{"OFFSET(atomic_long_t.counter)", "17", ErrorCode::kMalformed}}) {
    CAPTURE(c.key);
    LogRun run(log.ring);
    run.vmcoreinfo.erase(c.key);
    if (c.value != nullptr) run.vmcoreinfo[c.key] = c.value;
    const Status status = run.Run();
    REQUIRE_FALSE(status);
    CHECK(status.error().code == c.code);
  }
  LogRun run(log.ring);
  run.vmcoreinfo["OFFSET(printk_info.text_len)"] = "86";  // the last place it fits
  CHECK(run.Run());
}

TEST_CASE("VMCOREINFO without any log is an error") {
  const ThreeRecords log;
  LogRun run(log.ring);
  run.vmcoreinfo = {{"OSRELEASE", "2.6.32"}};
  Status status = run.Run();
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::kNotFound);
  run.vmcoreinfo["SYMBOL(log_buf)"] = "ffff888000002000";
  status = run.Run();
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace dmaudit
