// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kernel_tables.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "support/cpu_note.h"
#include "support/fake_memory.h"
#include "support/page_table_builder.h"

namespace dmaudit {
namespace {

using test::FakeMemory;
using test::PageTableBuilder;

// A dump of a kernel whose image maps to physical 0x1000000 + (link address - 0xffffffff81000000).
struct Scene {
  static constexpr uint64_t kImage = 0xffffffff80000000;
  static constexpr uint64_t kPhysBase = 0x3000000;
  static constexpr uint64_t kTable = 0x4600000;  // physical: link 0x1600000 + phys_base

  explicit Scene(unsigned levels = 4, uint64_t encryption = 0) {
    auto owned = std::make_unique<FakeMemory>();
    memory = owned.get();
    dump.memory = std::move(owned);
    PageTableBuilder tables(*memory, PhysAddr(kTable), levels, encryption);
    tables.Map(kImage + 0x1000000, kPhysBase + 0x1000000, 2);
    tables.Map(kImage + 0x1600000, kTable, 2);
    text = fmt::format(
        "SYMBOL(init_top_pgt)={:x}\nSYMBOL(_stext)={:x}\nNUMBER(phys_base)={}\n"
        "NUMBER(pgtable_l5_enabled)={}\n",
        kImage + 0x1600000, kImage + 0x1000000, kPhysBase, levels == 5 ? 1 : 0);
  }
  Result<KernelTables> Locate() {
    MemorySession session(*memory);
    DiagnosticSink sink;
    const auto info = Vmcoreinfo::Parse(text, sink);
    return LocateKernelTables(*info, dump, session);
  }
  void Replace(const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
  }
  void AddCpu(uint64_t cr3) { dump.notes.push_back(test::CpuNote(cr3)); }

  Dump dump;
  FakeMemory* memory;
  std::string text;
};

TEST_CASE("the kernel's tables are found and proved, in 4 and in 5 levels") {
  for (const unsigned levels : {4u, 5u}) {
    Scene scene(levels);
    const auto tables = scene.Locate();
    REQUIRE(tables);
    CHECK(tables->root.table == PhysAddr(Scene::kTable));
    CHECK(tables->root.levels == levels);
    CHECK_FALSE(tables->other_kernel_runs());
  }
}

TEST_CASE("levels are probed where VMCOREINFO does not tell them, or tells them wrong") {
  Scene silent(5);
  silent.Replace("NUMBER(pgtable_l5_enabled)=1\n", "");
  CHECK(silent.Locate().value().root.levels == 5);
  Scene wrong(4);
  wrong.Replace("l5_enabled)=0", "l5_enabled)=1");
  CHECK(wrong.Locate().value().root.levels == 4);
}

TEST_CASE("the encryption bit that VMCOREINFO names is no part of an address") {
  constexpr uint64_t kBit = uint64_t{1} << 47;
  const std::string line = fmt::format("NUMBER(sme_mask)={}\n", kBit);
  Scene scene(4, kBit);
  CHECK_FALSE(scene.Locate());
  scene.text += line;
  const auto tables = scene.Locate();
  REQUIRE(tables);
  CHECK(tables->root.table == PhysAddr(Scene::kTable));
  CHECK(tables->root.encryption_mask == kBit);
  // CR3 has it too.
  Scene of_cpu(4, kBit);
  of_cpu.text += line;
  of_cpu.Replace(fmt::format("NUMBER(phys_base)={}\n", Scene::kPhysBase), "");
  of_cpu.AddCpu(Scene::kTable | kBit);
  const auto found = of_cpu.Locate();
  REQUIRE(found);
  CHECK(found->root.table == PhysAddr(Scene::kTable));
  // A mask that holds every bit leaves the lower ones alone.
  Scene crafted;
  crafted.text += "NUMBER(sme_mask)=-1\n";
  REQUIRE(crafted.Locate());
  CHECK(crafted.Locate()->root.encryption_mask == 0xfffff00000000);
}

TEST_CASE("phys_base comes from the program header of the image where VMCOREINFO has none") {
  Scene scene;
  scene.Replace("NUMBER(phys_base)=50331648\n", "");
  scene.memory->AddRam({PhysAddr(0), PhysAddr(0xfff)});  // trying RAM finds nothing
  CHECK_FALSE(scene.Locate());
  scene.dump.info.virtual_segments.push_back(
      {0xffff888000000000, {PhysAddr(0x100000), PhysAddr(0x1fffff)}});
  CHECK_FALSE(scene.Locate());
  scene.dump.info.virtual_segments.push_back(
      {0xffffffff81000000, {PhysAddr(0x4000000), PhysAddr(0x4ffffff)}});
  CHECK(scene.Locate().value().phys_base == Scene::kPhysBase);
}

TEST_CASE("a wrong phys_base is refused, or overruled by the program header") {
  Scene scene;
  scene.Replace("phys_base)=50331648", "phys_base)=50335744");
  const auto failed = scene.Locate();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == ErrorCode::kMalformed);
  scene.dump.info.virtual_segments.push_back(
      {0xffffffff81000000, {PhysAddr(0x4000000), PhysAddr(0x4ffffff)}});
  CHECK(scene.Locate().value().phys_base == Scene::kPhysBase);
}

TEST_CASE("without a symbol of the top-level table nothing is found") {
  Scene scene;
  scene.Replace("init_top_pgt", "something_else");
  const auto failed = scene.Locate();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == ErrorCode::kNotFound);
}

TEST_CASE("CPU notes tell whether another kernel runs") {
  Scene own;
  own.AddCpu(Scene::kTable | 0x005);  // PCID in the low bits
  CHECK(own.Locate().value().cpus_of_this == std::vector<size_t>{0});
  CHECK_FALSE(own.Locate().value().other_kernel_runs());

  Scene user_half;  // page table isolation: the CPU was in user space, on the next page
  user_half.memory->AddZeroPage(PhysAddr(Scene::kTable + 0x1000));
  user_half.AddCpu(Scene::kTable + 0x1000);
  CHECK_FALSE(user_half.Locate().value().other_kernel_runs());

  Scene other;
  PageTableBuilder capture(*other.memory, PhysAddr(0x8000000), 4);
  capture.Map(Scene::kImage + 0x1000000, 0x9000000, 2);
  other.AddCpu(0x8000000);
  CHECK(other.Locate().value().cpus_of_other == std::vector<size_t>{0});

  Scene absent;  // tables of the CPU are not in the dump: nothing is said
  absent.AddCpu(0xa000000);
  CHECK_FALSE(absent.Locate().value().other_kernel_runs());

  Scene cut;
  cut.AddCpu(0x8000000);
  cut.dump.notes[0].descriptor.resize(431);
  CHECK_FALSE(cut.Locate().value().other_kernel_runs());
}

TEST_CASE("without phys_base in VMCOREINFO the tables of a CPU tell it") {
  Scene scene;
  scene.Replace("NUMBER(phys_base)=50331648\n", "");
  scene.memory->AddRam({PhysAddr(0), PhysAddr(0xfff)});  // trying RAM finds nothing
  CHECK_FALSE(scene.Locate());
  scene.AddCpu(Scene::kTable);
  const auto tables = scene.Locate();
  REQUIRE(tables);
  CHECK(tables->phys_base == Scene::kPhysBase);
  CHECK(tables->how == "init_top_pgt, phys_base from CR3 of CPU 0");
}

TEST_CASE("the tables of another kernel's CPU are no proof") {
  Scene scene;
  scene.Replace("NUMBER(phys_base)=50331648\n", "");
  PageTableBuilder capture(*scene.memory, PhysAddr(0x8000000), 4);
  capture.Map(Scene::kImage + 0x1000000, 0x9000000, 2);
  scene.AddCpu(0x8000000);
  scene.memory->AddRam({PhysAddr(0x8000000), PhysAddr(0x9ffffff)});
  CHECK_FALSE(scene.Locate());
}

TEST_CASE("where nothing tells phys_base, RAM is tried, and only one place may fit") {
  Scene scene;
  scene.Replace("NUMBER(phys_base)=50331648\n", "");
  scene.memory->AddRam({PhysAddr(0x100000), PhysAddr(0x7ffffff)});
  const auto tables = scene.Locate();
  REQUIRE(tables);
  CHECK(tables->phys_base == Scene::kPhysBase);
  CHECK(tables->how == "init_top_pgt, phys_base from trying every place in memory");

  // A second image with the same link addresses, as of a capture kernel that does not move.
  PageTableBuilder second(*scene.memory, PhysAddr(0x6600000), 4);
  second.Map(Scene::kImage + 0x1600000, 0x6600000, 2);
  const auto two = scene.Locate();
  REQUIRE_FALSE(two);
  CHECK(two.error().code == ErrorCode::kNotFound);
  CHECK(two.error().message.find("cannot be told") != std::string::npos);
}

TEST_CASE("the first and the last place of RAM are tried, those beside it are not") {
  for (const auto& [first, last, found] : std::vector<std::tuple<uint64_t, uint64_t, bool>>{
           {Scene::kTable, Scene::kTable, true},
           {Scene::kTable - 0x200000, Scene::kTable - 1, false},
           {Scene::kTable + 1, Scene::kTable + 0x1fffff, false},
           {Scene::kTable - 0x200000, Scene::kTable, true}}) {
    const uint64_t start = first;  // a structured binding is not captured
    CAPTURE(start);
    Scene scene;
    scene.Replace("NUMBER(phys_base)=50331648\n", "");
    scene.memory->AddRam({PhysAddr(first), PhysAddr(last)});
    CHECK(scene.Locate().has_value() == found);
  }
}

TEST_CASE("memory in which not every place was tried decides nothing") {
  // The page table is tried as the last place, the one before it and the one after it.
  for (const uint64_t before : {kMaxImagePlaces - 2, kMaxImagePlaces - 1, kMaxImagePlaces}) {
    CAPTURE(before);
    Scene scene;
    scene.Replace("NUMBER(phys_base)=50331648\n", "");
    scene.memory->AddRam({PhysAddr(0x10000000), PhysAddr(0x10000000 + before * 0x200000 - 1)});
    scene.memory->AddRam({PhysAddr(Scene::kTable), PhysAddr(Scene::kTable)});
    const auto tables = scene.Locate();
    CHECK(tables.has_value() == (before < kMaxImagePlaces));
    if (!tables) CHECK(tables.error().code == ErrorCode::kLimit);
  }
}

TEST_CASE("the kernel's own phys_base variable is held against what was found") {
  Scene scene;
  scene.Replace("NUMBER(phys_base)=50331648\n", "SYMBOL(phys_base)=ffffffff81601000\n");
  scene.memory->AddRam({PhysAddr(0x100000), PhysAddr(0x7ffffff)});
  CHECK(scene.Locate().has_value());  // the variable's page is not in the dump
  scene.memory->WriteU64(PhysAddr(Scene::kTable + 0x1000), Scene::kPhysBase);
  CHECK(scene.Locate().has_value());
  scene.memory->WriteU64(PhysAddr(Scene::kTable + 0x1000), Scene::kPhysBase + 0x200000);
  CHECK_FALSE(scene.Locate());
}

}  // namespace
}  // namespace dmaudit
