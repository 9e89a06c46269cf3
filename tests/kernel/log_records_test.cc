// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include "support/log_builder.h"

namespace dmaudit {
namespace {

using test::LogRun;
using test::RecordsBuilder;
using Texts = std::vector<std::string>;

constexpr uint32_t kSize = 1024;

struct ThreeRecords {
  RecordsBuilder log{kSize};
  uint32_t first = log.Add("first", 1000);
  uint32_t second = log.Add("second", 2000, "DEVICE=+pci:0000:00:1f.2");
  uint32_t third = log.Add("third", 3000);
};

void ExpectOnly(LogRun& run, const Texts& texts, const Texts& notes) {
  const Status status = run.Run();
  REQUIRE_MESSAGE(status, status.error().message);
  CHECK(run.texts() == texts);
  CHECK(run.notes() == notes);
  CHECK_FALSE(run.sink.incomplete());
}

TEST_CASE("records are given oldest first, counted from 0, without dictionary") {
  const ThreeRecords three;
  LogRun run(three.log);
  ExpectOnly(run, {"first", "second", "third"}, {});
  CHECK(run.seen[2].sequence == 2);
  CHECK(run.seen[1].nanoseconds == 2000);
  CHECK(run.evidence.empty());
}

TEST_CASE("the header was called struct log before 3.11") {
  const ThreeRecords three;
  LogRun run(three.log);
  run.vmcoreinfo = RecordsBuilder::Vmcoreinfo("log");
  ExpectOnly(run, {"first", "second", "third"}, {});
}

TEST_CASE("equal indices are an empty log") {
  LogRun run{RecordsBuilder(kSize)};
  ExpectOnly(run, {}, {});
}

TEST_CASE("an end mark leads back to the start") {
  RecordsBuilder log(256);
  log.Add(std::string(100, 'a'));
  log.first = log.Add(std::string(100, 'b'));
  CHECK(log.Add("c") == 0);
  log.Add("d");
  LogRun run(log);
  ExpectOnly(run, {std::string(100, 'b'), "c", "d"}, {});
}

TEST_CASE("an end mark where none is due is damage") {
  ThreeRecords three;
  three.log.SetLength(three.second, 0);
  LogRun run(three.log);
  ExpectOnly(run, {"first"}, {"log.damaged"});
}

TEST_CASE("two end marks do not make a circle") {
  RecordsBuilder log(256);
  log.first = log.Add("a") + 20;
  log.SetLength(0, 0);
  log.next = 8;
  LogRun run(log);
  ExpectOnly(run, {}, {"log.damaged"});
}

TEST_CASE("lengths that no record can have end the log") {
  struct Case {
    const char* what;
    uint16_t length;
  };
  for (const Case& c : {Case{"below the header", 12}, Case{"below header and text", 20},
                        Case{"off alignment", 47}, Case{"over the buffer", 1020}}) {
    CAPTURE(c.what);
    ThreeRecords three;
    three.log.SetLength(three.second, c.length);
    LogRun run(three.log);
    ExpectOnly(run, {"first"}, {"log.damaged"});
  }
}

TEST_CASE("text up to the end of the record is whole, one byte more is damage") {
  for (const uint16_t length : {uint16_t{7}, uint16_t{8}, uint16_t{9}}) {
    CAPTURE(length);
    RecordsBuilder log(kSize);
    log.SetTextLength(log.Add("12345678"), length);
    LogRun run(log);
    if (length == 9) {
      ExpectOnly(run, {}, {"log.damaged"});
    } else {
      ExpectOnly(run, {std::string("12345678").substr(0, length)}, {});
    }
  }
}

TEST_CASE("a record that runs over the next index is damage") {
  ThreeRecords three;
  three.log.next -= 4;
  LogRun run(three.log);
  ExpectOnly(run, {"first", "second", "third"}, {"log.damaged"});
}

TEST_CASE("impossible variables are errors") {
  struct Case {
    uint32_t size, first, next;
  };
  for (const Case& c : {Case{15, 0, 0}, Case{0, 0, 0}, Case{0x8000'0001, 0, 0},
                        Case{kSize, kSize, 0}, Case{kSize, 0, kSize + 1}}) {
    CAPTURE(c.size);
    ThreeRecords three;
    three.log.size = c.size;
    three.log.first = c.first;
    three.log.next = c.next;
    LogRun run(three.log);
    const Status status = run.Run();
    REQUIRE_FALSE(status);
    CHECK(status.error().code == ErrorCode::kMalformed);
  }
  const ThreeRecords three;
  LogRun run(three.log);
  run.memory.WriteU64(PhysAddr(RecordsBuilder::kVariables), UINT64_MAX - 100);
  CHECK_FALSE(run.Run());
}

TEST_CASE("variables that are not in the dump or in VMCOREINFO are errors") {
  const ThreeRecords three;
  LogRun unread(three.log);
  unread.memory.SetState(PhysAddr(RecordsBuilder::kVariables + 8), 4, ByteState::kExcluded);
  Status status = unread.Run();
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::kUnknown);
  LogRun unnamed(three.log);
  unnamed.vmcoreinfo.erase("SYMBOL(log_next_idx)");
  status = unnamed.Run();
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::kNotFound);
}

TEST_CASE("unreadable text costs its record, an unreadable header all after it") {
  ThreeRecords three;
  const uint64_t second = RecordsBuilder::kBuffer + three.second;
  LogRun text(three.log);
  text.memory.SetState(PhysAddr(second + RecordsBuilder::kHeader), 1, ByteState::kCorrupt);
  ExpectOnly(text, {"first", "third"}, {"log.unreadable"});
  CHECK(text.seen[1].sequence == 2);
  LogRun header(three.log);
  header.memory.SetState(PhysAddr(second), 1, ByteState::kCorrupt);
  ExpectOnly(header, {"first"}, {"log.unreadable"});
}

TEST_CASE("redacted records are passed over silently") {
  ThreeRecords three;
  const uint64_t second = RecordsBuilder::kBuffer + three.second;
  LogRun text(three.log);
  text.memory.SetState(PhysAddr(second + RecordsBuilder::kHeader), 6, ByteState::kRedacted);
  ExpectOnly(text, {"first", "third"}, {});
  LogRun header(three.log);
  header.memory.SetState(PhysAddr(second), 16, ByteState::kRedacted);
  ExpectOnly(header, {"first"}, {});
}

TEST_CASE("what is kept is evidence, and enough to find the record again") {
  ThreeRecords three;
  LogRun run(three.log);
  run.visit = [](const LogRecord& record) {
    return record.text == "second" ? LogVerdict::kKeep : LogVerdict::kSkip;
  };
  ExpectOnly(run, {"first", "second", "third"}, {});

  LogRun distilled(three.log);
  for (const uint64_t page :
       {RecordsBuilder::kVariables, RecordsBuilder::kBuffer, RecordsBuilder::kBuffer + 16}) {
    distilled.memory.SetPageState(PhysAddr(page), ByteState::kRedacted);
  }
  for (const auto& [address, size] : run.evidence) {
    for (uint64_t i = 0; i < size; ++i) {
      distilled.memory.SetState(PhysAddr(address + i), 1, ByteState::kData);
    }
  }
  ExpectOnly(distilled, {"second"}, {});
}

TEST_CASE("the visitor can stop") {
  const ThreeRecords three;
  LogRun run(three.log);
  run.visit = [](const LogRecord&) { return LogVerdict::kStop; };
  ExpectOnly(run, {"first"}, {});
}

TEST_CASE("a header without dict_len is read, one that sticks out is not") {
  const ThreeRecords three;
  LogRun run(three.log);
  run.vmcoreinfo.erase("OFFSET(printk_log.dict_len)");
  ExpectOnly(run, {"first", "second", "third"}, {});
  LogRun bent(three.log);
  bent.vmcoreinfo["OFFSET(printk_log.len)"] = "15";
  CHECK_FALSE(bent.Run());
}

}  // namespace
}  // namespace dmaudit
