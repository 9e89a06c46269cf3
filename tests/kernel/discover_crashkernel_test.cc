// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/discover_crashkernel.h"

#include <doctest/doctest.h>

#include "support/machine_look.h"

namespace dmaudit {
namespace {

using test::Look;
using test::MachineScene;

TEST_CASE("a crash kernel that was loaded nowhere is no machine without a reservation") {
  const auto empty = [](uint64_t image) {
    return Look([](MachineScene& s) { s.iomem[1].children.pop_back(); },
                [image](MachineScene& s) {
                  s.Set("crashk_res.start", 0);
                  s.Set("crashk_res.end", 0);
                  s.Set("kexec_crash_image", image);
                });
  };
  CHECK(
      empty(MachineScene::kSlab).scene.Count("kernel.reservation-doubtful", Effect::kIncomplete) ==
      1);
  CHECK_FALSE(empty(0).scene.sink.incomplete());
}

TEST_CASE("nothing reserved is known to be nothing") {
  Look look(
      [](MachineScene& s) {
        s.iomem[1].children.pop_back();
        s.ram = {{PhysAddr(0x100000), PhysAddr(0x3fffffff)}};
      },
      [](MachineScene& s) {
        s.Set("crashk_res.start", 0);
        s.Set("crashk_res.end", 0);
        s.Set("kexec_crash_image", 0);
      });
  REQUIRE(look.state.reservations);
  CHECK(look.state.reservations->empty());
  CHECK_FALSE(look.state.crash_kernel_loaded.value());
  CHECK(look.diagnostics().empty());
}

TEST_CASE("a capture kernel reserves nothing and is no machine without a crash kernel") {
  const auto with_command_line = [](std::string_view text) {
    return Look([](MachineScene& s) { s.iomem[1].children.pop_back(); },
                [text](MachineScene& s) {
                  s.Set("crashk_res.start", 0);
                  s.Set("crashk_res.end", 0);
                  s.Set("kexec_crash_image", 0);
                  s.memory().Write(PhysAddr(MachineScene::Physical(s.At("command_line"))),
                                   AsBytes(text));
                });
  };
  const auto doubts = [&](std::string_view text) {
    return with_command_line(text).scene.Count("kernel.reservation-doubtful", Effect::kIncomplete);
  };
  CHECK(doubts("ro elfcorehdr=0x2f000000 ") == 1);
  CHECK(doubts("ro no_elfcorehdr=1") == 0);
}

TEST_CASE("a reservation that ends before it begins is damage, one byte before is empty") {
  const auto with_end = [](uint64_t end) {
    return Look([](MachineScene& s) { s.iomem[1].children.pop_back(); },
                [end](MachineScene& s) {
                  s.Set("crashk_res.end", end);
                  s.Set("kexec_crash_image", 0);
                });
  };
  CHECK(with_end(0x20000000).state.reservations->size() == 1);
  Look empty = with_end(0x1fffffff);
  CHECK(empty.state.reservations->empty());
  CHECK_FALSE(empty.scene.sink.incomplete());
  Look damaged = with_end(0x1ffffffe);
  CHECK(damaged.scene.Count("kernel.damaged", Effect::kIncomplete) == 1);
}

TEST_CASE("a low reservation is one of its own") {
  Look look([](MachineScene& s) { s.iomem[1].children.pop_back(); },
            [](MachineScene& s) {
              s.Set("crashk_low_res.start", 0x1000000);
              s.Set("crashk_low_res.end", 0x1ffffff);
            });
  REQUIRE(look.state.reservations->size() == 2);
  CHECK(look.state.reservations->at(1).kind == ReservationKind::kLow);
}

TEST_CASE("rival claims: tree, gap and log") {
  Look tree([](MachineScene& s) { s.iomem[1].children[1].end = 0x2effffff; });
  CHECK(tree.scene.Count("kernel.disagree", Effect::kNote) == 1);
  Look gap([](MachineScene& s) { s.ram[2].first = PhysAddr(0x30001000); });
  CHECK(gap.scene.Count("kernel.disagree", Effect::kNote) == 1);
  Look described([](MachineScene& s) {
    s.ram = {{PhysAddr(0x1000), PhysAddr(0x9ffff)}, {PhysAddr(0x100000), PhysAddr(0x3fffffff)}};
  });
  CHECK(described.diagnostics().empty());  // a dump of all memory has no gap, and claims nothing
  CHECK(described.state.reservations->front().range.claims().size() == 2);
  Look rounded([](MachineScene& s) {
    s.log = {"Reserving 256MB of memory at 512MB for crashkernel (System RAM: 1023MB)"};
  });
  CHECK(rounded.diagnostics().empty());
  CHECK(rounded.state.reservations->front().range.claims().size() == 4);
  // Not at a border of a MiB, which is all that the line tells.
  Look unaligned(
      [](MachineScene& s) {
        s.log = {"Reserving 256MB of memory at 512MB for crashkernel (System RAM: 1023MB)"};
        s.iomem[1].children[1] = {"Crash kernel", 0x20080000, 0x3007ffff, {}};
        s.ram[1].last = PhysAddr(0x2007ffff);
        s.ram[2].first = PhysAddr(0x30080000);
      },
      [](MachineScene& s) {
        s.Set("crashk_res.start", 0x20080000);
        s.Set("crashk_res.end", 0x3007ffff);
      });
  CHECK(unaligned.diagnostics().empty());
  Look shrunk([](MachineScene& s) {
    s.log = {"crashkernel reserved: 0x0000000020000000 - 0x0000000038000000 (384 MB)"};
  });
  CHECK(shrunk.scene.Count("kernel.disagree", Effect::kNote) == 1);
}

TEST_CASE("a variable that does not hold what the log says and the dump leaves out is doubtful") {
  const auto with_range = [](uint64_t start, uint64_t end, uint64_t next_ram) {
    return Look(
        [next_ram](MachineScene& s) {
          s.log = {"crashkernel reserved: 0x0000000020000000 - 0x0000000030000000 (256 MB)"};
          s.ram[2].first = PhysAddr(next_ram);
          s.iomem[1].children.pop_back();  // in a kernel that is the variable itself
        },
        [start, end](MachineScene& s) {
          s.Set("crashk_res.start", start);
          s.Set("crashk_res.end", end);
        });
  };
  const auto doubts = [&](uint64_t start, uint64_t end, uint64_t next_ram = 0x30000000) {
    return with_range(start, end, next_ram)
        .scene.Count("kernel.reservation-doubtful", Effect::kIncomplete);
  };
  CHECK(doubts(0x20000000, 0x2fffffff) == 0);
  CHECK(doubts(0x20000000, 0x2fffefff) == 1);
  CHECK(doubts(0x38000000, 0x3fffffff) == 1);
  // Given back: the dump holds it.
  CHECK(doubts(0x20000000, 0x27ffffff, 0x28000000) == 0);
  CHECK(doubts(0x38000000, 0x3fffffff, 0x20000000) == 0);
}

TEST_CASE("the variable's own place in the tree is no claim when it reserves nothing") {
  Look look(
      [](MachineScene& s) {
        s.ram = {{PhysAddr(0x100000), PhysAddr(0x3fffffff)}};
      },
      [](MachineScene& s) {
        s.Set("crashk_res.start", 0);
        s.Set("crashk_res.end", 0);
        s.Set("kexec_crash_image", 0);
        // Linked into the tree as the kernel does it.
        s.Set("crashk_res.name", s.At("iomem_resource_b_b") + 0x100);
        s.Set("iomem_resource_b_a.sibling", s.At("crashk_res"));
      });
  REQUIRE(look.state.reservations);
  CHECK(look.state.reservations->empty());
}

TEST_CASE("rivals stand in for a variable that cannot be read") {
  Look tree(nullptr, [](MachineScene& s) { s.SetState("crashk_res", ByteState::kExcluded); });
  REQUIRE(tree.state.reservations->size() == 1);
  CHECK(tree.state.reservations->front().kind == ReservationKind::kHigh);
  CHECK(tree.scene.Count("kernel.unreadable", Effect::kIncomplete) == 1);
  const auto without_tree = [](MachineScene& s) {
    std::erase_if(s.variables, [](const auto& v) { return v.name == "iomem_resource"; });
  };
  Look log(
      [&](MachineScene& s) {
        without_tree(s);
        s.log = {"crashkernel reserved: 0x0000000020000000 - 0x0000000030000000 (256 MB)"};
      },
      [](MachineScene& s) { s.SetState("crashk_res", ByteState::kExcluded); });
  REQUIRE(log.state.reservations->size() == 1);
  CHECK(log.state.reservations->front().range.chosen().origin == Origin::kLog);
  Look nothing(without_tree,
               [](MachineScene& s) { s.SetState("crashk_res", ByteState::kExcluded); });
  CHECK_FALSE(nothing.state.reservations);
  CHECK(nothing.scene.Count("kernel.no-reservation", Effect::kIncomplete) == 1);
}

TEST_CASE("CMA ranges: none, some, more than are read") {
  const auto with_count = [](uint32_t count, const std::vector<std::string>& log = {}) {
    return Look(
        [&log](MachineScene& s) {
          if (!log.empty()) s.log = log;
          s.variables.push_back({"crashk_cma_cnt", 4});
          s.variables.push_back({"crashk_cma_ranges", 64});
        },
        [count](MachineScene& s) {
          s.Set32("crashk_cma_cnt", count);
          const uint64_t at = MachineScene::Physical(s.At("crashk_cma_ranges"));
          s.memory().WriteU64(PhysAddr(at), 0x10000000);
          s.memory().WriteU64(PhysAddr(at + 8), 0x12ffffff);
          s.memory().WriteU64(PhysAddr(at + 16), 0x18000000);
          s.memory().WriteU64(PhysAddr(at + 24), 0x18ffffff);
        });
  };
  CHECK(with_count(0).state.reservations->size() == 1);
  const auto doubts = [](Look look) {
    return look.scene.Count("kernel.reservation-doubtful", Effect::kIncomplete);
  };
  const std::vector<std::string> log = {"crashkernel CMA reserved: 48 MB in 1 ranges"};
  CHECK(doubts(with_count(0, log)) == 1);
  CHECK(doubts(with_count(1, log)) == 0);
  Look one = with_count(1);
  REQUIRE(one.state.reservations->size() == 2);
  CHECK(one.state.reservations->at(1).kind == ReservationKind::kCma);
  CHECK(one.state.reservations->at(1).range.value() ==
        PhysRange{PhysAddr(0x10000000), PhysAddr(0x12ffffff)});
  CHECK(one.diagnostics().empty());
  Look two = with_count(2);
  REQUIRE(two.state.reservations->size() == 3);
  CHECK(two.state.reservations->at(2).range.value() ==
        PhysRange{PhysAddr(0x18000000), PhysAddr(0x18ffffff)});
  CHECK(with_count(64).scene.Count("kernel.limit", Effect::kIncomplete) == 0);
  CHECK(with_count(65).scene.Count("kernel.limit", Effect::kIncomplete) == 1);
}

}  // namespace
}  // namespace dmaudit
