// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/find_kernel.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "support/cpu_note.h"
#include "support/fake_memory.h"
#include "support/page_table_builder.h"

namespace dmaudit {
namespace {

using test::FakeMemory;
using test::PageTableBuilder;
using Kind = WhichKernel::Kind;

// Memory with kernels in it: each an image of 2 MiB pages and a VMCOREINFO text somewhere.
struct Scene {
  static constexpr uint64_t kImage = 0xffffffff80000000;

  Scene() {
    auto owned = std::make_unique<FakeMemory>();
    memory = owned.get();
    dump.memory = std::move(owned);
    dump.info.file_size = 1 << 20;
  }

  static std::string Text(uint64_t phys_base, bool crashed, const std::string& release) {
    return fmt::format(
        "OSRELEASE={}\nSYMBOL(init_top_pgt)={:x}\nSYMBOL(_stext)={:x}\n"
        "NUMBER(phys_base)={}\nNUMBER(pgtable_l5_enabled)=0\n{}",
        release, kImage + 0x1600000, kImage + 0x1000000, phys_base,
        crashed ? "CRASHTIME=1700000000\n" : "");
  }
  // The image of one kernel; gives the address of its page table.
  uint64_t AddImage(uint64_t phys_base) {
    const uint64_t table = phys_base + 0x1600000;
    PageTableBuilder tables(*memory, PhysAddr(table), 4);
    tables.Map(kImage + 0x1000000, phys_base + 0x1000000, 2);
    tables.Map(kImage + 0x1600000, table, 2);
    return table;
  }
  void AddText(uint64_t at, const std::string& text) {
    memory->AddZeroPage(PhysAddr(at));
    memory->Write(PhysAddr(at), AsBytes(text));
  }
  void AddNote(const std::string& text) {
    const auto bytes = AsBytes(text);
    dump.notes.push_back({"VMCOREINFO", 0, {bytes.begin(), bytes.end()}});
  }
  void AddCpu(uint64_t cr3) { dump.notes.push_back(test::CpuNote(cr3)); }
  Result<KernelChoice> Find(const std::optional<WhichKernel>& which = std::nullopt) {
    sink = {};
    MemorySession session(*memory);
    return FindKernel(dump, session, which, sink);
  }
  size_t Count(std::string_view id, Effect effect) const {
    size_t count = 0;
    for (const Diagnostic& d : sink.diagnostics()) count += d.id == id && d.effect == effect;
    return count;
  }

  Dump dump;
  FakeMemory* memory;
  DiagnosticSink sink;
};

constexpr uint64_t kFirst = 0x3000000;    // phys_base of the crashed kernel
constexpr uint64_t kSecond = 0x20000000;  // of the capture kernel
constexpr WhichKernel kCrashed{Kind::kCrashed, {}};
constexpr WhichKernel kCapture{Kind::kCapture, {}};
constexpr WhichKernel At(uint64_t address) { return {Kind::kAddress, PhysAddr(address)}; }

// A capture kernel that hangs, dumped from outside: the note is of the crashed kernel.
struct TwoKernels : Scene {
  explicit TwoKernels(bool note = true) {
    first = AddImage(kFirst);
    second = AddImage(kSecond);
    AddText(0x5018, Text(kFirst, true, "6.1.0-first"));
    AddText(0x7000, Text(kFirst, false, "6.1.0-first"));  // as it was before the crash
    AddText(0x21000000, Text(kSecond, false, "6.1.0-second"));
    if (note) AddNote(Text(kFirst, true, "6.1.0-first"));
  }
  uint64_t first, second;
};

TEST_CASE("a note is enough: memory is not searched") {
  TwoKernels scene;
  const auto choice = scene.Find();
  REQUIRE(choice);
  CHECK(choice->kernel.tables.root.table == PhysAddr(scene.first));
  CHECK_FALSE(choice->kernel.text);
  CHECK(choice->others.empty());
  CHECK(scene.sink.diagnostics().empty());
}

TEST_CASE("without a note the text in memory is found, and said to be") {
  Scene scene;
  const uint64_t table = scene.AddImage(kFirst);
  scene.AddText(0x5018, Scene::Text(kFirst, false, "6.1.0"));
  const auto choice = scene.Find();
  REQUIRE(choice);
  CHECK(choice->kernel.tables.root.table == PhysAddr(table));
  CHECK(choice->kernel.text == PhysAddr(0x5018));
  CHECK(choice->others.empty());
  CHECK(scene.Count("kernel.vmcoreinfo-search", Effect::kNote) == 1);
  CHECK(Describe(choice->kernel) ==
        "6.1.0, VMCOREINFO in memory at 0x5018, page table at 0x4600000");
}

TEST_CASE("a note that does not fit the dump gives way to a text that does") {
  Scene scene;
  scene.AddImage(kFirst);
  scene.AddNote(Scene::Text(kFirst + 0x200000, true, "6.1.0"));
  const auto none = scene.Find();
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ErrorCode::kMalformed);
  scene.AddText(0x5000, Scene::Text(kFirst, true, "6.1.0"));
  const auto choice = scene.Find();
  REQUIRE(choice);
  CHECK(choice->kernel.text == PhysAddr(0x5000));
}

TEST_CASE("a text whose page tables are elsewhere is none of this dump") {
  Scene scene;
  scene.AddImage(kFirst);
  scene.AddText(0x5000, Scene::Text(kFirst + 0x200000, true, "6.1.0"));  // of an earlier boot
  const auto none = scene.Find();
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ErrorCode::kMalformed);
  CHECK(
      none.error().message.starts_with("no kernel found: no VMCOREINFO note, and the VMCOREINFO "
                                       "text in memory at 0x5000 does not fit: "));
}

TEST_CASE("a note and its copy in memory that do not fit are one reason") {
  Scene scene;
  scene.AddImage(kFirst);
  const std::string text = Scene::Text(kFirst + 0x200000, true, "6.1.0");
  scene.AddNote(text);
  scene.AddText(0x5000, text);
  const auto none = scene.Find();
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ErrorCode::kMalformed);
  CHECK(
      none.error().message.starts_with("no kernel found: neither the VMCOREINFO note nor the text "
                                       "in memory at 0x5000 fits: init_top_pgt at "));
  CHECK(none.error().message.find("fits:") == none.error().message.rfind("fits:"));
}

TEST_CASE("nothing found says how much was searched") {
  Scene scene;
  scene.memory->AddZeroPage(PhysAddr(0x5000));
  const auto none = scene.Find();
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ErrorCode::kNotFound);
  CHECK(none.error().message ==
        "no kernel found: no VMCOREINFO note, and no VMCOREINFO text in the 4096 bytes of memory "
        "searched");
}

TEST_CASE("of a kernel's copies of its text the one of the crash is used, wherever it lies") {
  for (const uint64_t crashed_at : {uint64_t{0x5000}, uint64_t{0x9000}}) {
    CAPTURE(crashed_at);
    Scene scene;
    scene.AddImage(kFirst);
    scene.AddText(crashed_at, Scene::Text(kFirst, true, "6.1.0"));
    scene.AddText(0x5000 + 0x9000 - crashed_at, Scene::Text(kFirst, false, "6.1.0"));
    const auto choice = scene.Find();
    REQUIRE(choice);
    CHECK(choice->kernel.crashed);
    CHECK(choice->kernel.text == PhysAddr(crashed_at));
    CHECK(choice->others.empty());
  }
}

TEST_CASE("of two kernels without a note, CRASHTIME tells which one crashed") {
  TwoKernels scene(false);
  for (const std::optional<WhichKernel>& which :
       {std::optional<WhichKernel>(), std::optional<WhichKernel>(kCrashed)}) {
    const auto choice = scene.Find(which);
    REQUIRE(choice);
    CHECK(choice->kernel.tables.root.table == PhysAddr(scene.first));
    CHECK(choice->kernel.text == PhysAddr(0x5018));  // of its copies the last written
    REQUIRE(choice->others.size() == 1);
    CHECK(choice->others[0].tables.root.table == PhysAddr(scene.second));
    CHECK(scene.Count("kernel.two-kernels", Effect::kNote) == 1);
  }
}

TEST_CASE("the capture kernel is the one that did not crash, with a note and without") {
  for (const bool note : {true, false}) {
    CAPTURE(note);
    TwoKernels scene(note);
    const auto choice = scene.Find(kCapture);
    REQUIRE(choice);
    CHECK(choice->kernel.tables.root.table == PhysAddr(scene.second));
    CHECK(choice->kernel.text == PhysAddr(0x21000000));
    REQUIRE(choice->others.size() == 1);
    CHECK(choice->others[0].crashed);
  }
}

TEST_CASE("a note of the capture kernel does not hide the crashed one") {
  TwoKernels scene(false);
  scene.AddNote(Scene::Text(kSecond, false, "6.1.0-second"));
  CHECK(scene.Find()->kernel.tables.root.table == PhysAddr(scene.second));
  CHECK(scene.Find(kCrashed)->kernel.tables.root.table == PhysAddr(scene.first));
  CHECK(scene.Find(kCapture)->kernel.tables.root.table == PhysAddr(scene.second));
}

TEST_CASE("a second kernel that is not there is an error, not the first one") {
  Scene scene;
  scene.AddImage(kFirst);
  scene.AddNote(Scene::Text(kFirst, true, "6.1.0"));
  scene.AddText(0x5000, Scene::Text(kFirst, false, "6.1.0"));
  const auto none = scene.Find(kCapture);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ErrorCode::kUsage);
  CHECK(
      none.error().message.starts_with("no second kernel was found: 6.1.0, VMCOREINFO in a note"));
}

TEST_CASE("of several that could be meant the CPUs decide, and otherwise nobody") {
  TwoKernels scene;
  const uint64_t third = scene.AddImage(0x30000000);
  scene.AddText(0x31000000, Scene::Text(0x30000000, false, "6.1.0-third"));
  const auto undecided = scene.Find(kCapture);
  REQUIRE_FALSE(undecided);
  CHECK(undecided.error().message.find("6.1.0-second, VMCOREINFO in memory at 0x21000000") !=
        std::string::npos);
  CHECK(undecided.error().message.find("6.1.0-third, VMCOREINFO in memory at 0x31000000") !=
        std::string::npos);
  scene.AddCpu(third);
  const auto choice = scene.Find(kCapture);
  REQUIRE(choice);
  CHECK(choice->kernel.tables.root.table == PhysAddr(third));
  CHECK(Describe(choice->kernel).ends_with(", runs on CPU 0"));
}

TEST_CASE("two kernels of which none has crashed: the one that runs, or an error with both names") {
  Scene scene;
  scene.AddImage(kFirst);
  const uint64_t second = scene.AddImage(kSecond);
  scene.AddText(0x5000, Scene::Text(kFirst, false, "6.1.0-first"));
  scene.AddText(0x21000000, Scene::Text(kSecond, false, "6.1.0-second"));
  const auto undecided = scene.Find();
  REQUIRE_FALSE(undecided);
  CHECK(undecided.error().code == ErrorCode::kNotFound);
  scene.AddCpu(second);
  CHECK(scene.Find()->kernel.tables.root.table == PhysAddr(second));
  CHECK_FALSE(scene.Find(kCrashed));  // the wish says that one has
  CHECK_FALSE(scene.Find(kCapture));
}

TEST_CASE("an address names a text, whatever else is in the dump") {
  TwoKernels scene;
  const auto choice = scene.Find(At(0x21000000));
  REQUIRE(choice);
  CHECK(choice->kernel.tables.root.table == PhysAddr(scene.second));
  const auto nothing = scene.Find(At(0x21000001));
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().message.find("0x21000001") != std::string::npos);
  CHECK_FALSE(scene.Find(At(0x6000000000)));
}

TEST_CASE("CPUs of another kernel are named") {
  TwoKernels scene;
  scene.AddCpu(scene.second);
  REQUIRE(scene.Find());
  CHECK(scene.Count("kernel.two-kernels", Effect::kNote) == 1);
}

TEST_CASE("a search that had to stop leaves the audit incomplete") {
  Scene scene;
  scene.AddImage(kFirst);
  scene.AddText(0x5000, Scene::Text(kFirst, false, "6.1.0"));
  scene.dump.info.file_size = 0;
  std::string flood;
  while (flood.size() < 0x8000) flood += "OSRELEASE=";
  scene.AddText(0x100000, flood);
  REQUIRE(scene.Find());
  CHECK(scene.Count("kernel.vmcoreinfo-search", Effect::kIncomplete) == 1);
}

}  // namespace
}  // namespace dmaudit
