// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/identity.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "support/machine_look.h"

namespace dmaudit {
namespace {

using test::Look;
using test::MachineScene;

constexpr uint64_t kUts = MachineScene::kImage + 0x3800000;

// A kernel whose VMCOREINFO says where init_uts_ns is and, in `more`, perhaps its layout. The names
// lie at `offset`.
Look WithUts(uint64_t offset, const std::string& more, bool has_uts_name = true) {
  return Look(
      [&](MachineScene& scene) {
        scene.vmcoreinfo = fmt::format("SYMBOL(init_uts_ns)={:x}\n", kUts) + more;
        scene.has_uts_name = has_uts_name;
      },
      [&](MachineScene& scene) {
        const auto put = [&](uint64_t field, std::string_view text) {
          scene.memory().Write(PhysAddr(MachineScene::Physical(kUts + offset + 65 * field)),
                               AsBytes(text));
        };
        scene.memory().AddZeroPage(PhysAddr(MachineScene::Physical(kUts)));
        put(2, "6.1.0");
        put(3, "#1 SMP some day");
      });
}

TEST_CASE("the kernel's version is in its own names, where VMCOREINFO says") {
  const Look look = WithUts(16, "OFFSET(uts_namespace.name)=16\n");
  CHECK(look.state.identity.version.value() == "#1 SMP some day");
  CHECK(look.state.identity.version.chosen().origin == Origin::kKernelObject);
  CHECK(look.diagnostics().empty());
}

TEST_CASE("or where the kernel's types say, as before 5.11") {
  const Look look = WithUts(4, "");
  CHECK(look.state.identity.version.value() == "#1 SMP some day");
  CHECK(look.state.identity.version.chosen().place == "init_uts_ns.name.version");
  CHECK(look.state.identity.release.claims().size() == 3);
  CHECK(look.diagnostics().empty());
}

TEST_CASE("and is not known where neither does") {
  const Look look = WithUts(4, "", false);
  CHECK_FALSE(look.state.identity.version.known());
  CHECK(look.diagnostics().empty());
}

}  // namespace
}  // namespace dmaudit
