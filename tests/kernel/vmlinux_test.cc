// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a vmlinux is of the kernel in a dump, and where that kernel ran.
#include "kernel/vmlinux.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "support/fake_kernel.h"

namespace dmaudit {
namespace {

constexpr std::string_view kId = "1cd19df5660b03d8ce9a5941ce9fb364548b953a";
constexpr std::string_view kOtherId = "2cd19df5660b03d8ce9a5941ce9fb364548b953a";

// A kernel at its link address, with a banner.
class Scene {
 public:
  static constexpr uint64_t kVirtual = 0xffffffff81000000;

  Scene() {
    table.build_id = kId;
    table.symbols = {{"_stext", kVirtual + 0x1000},
                     {"init_uts_ns", kVirtual + 0x2000},
                     {"linux_banner", kVirtual + 0x3000}};
    kernel.WriteText(KernelVa(kVirtual + 0x103000), "Linux version 6.1.0 (gcc)\n");
  }

  VmlinuxFit Fit(std::string_view vmcoreinfo) {
    DiagnosticSink sink;
    const Result<Vmcoreinfo> info = Vmcoreinfo::Parse(vmcoreinfo, sink);
    REQUIRE(info);
    return FitVmlinux(table, *info, kernel);
  }
  // The dump's side: moved by 0x100000.
  static std::string Dumped(std::string_view more = "") {
    return fmt::format("OSRELEASE=6.1.0\nSYMBOL(_stext)={:x}\nSYMBOL(init_uts_ns)={:x}\n{}",
                       kVirtual + 0x101000, kVirtual + 0x102000, more);
  }

  DebuginfoTable table;
  test::FakeKernel kernel;
};

TEST_CASE("equal build ids prove a vmlinux, different ones disprove it") {
  Scene scene;
  const VmlinuxFit same =
      scene.Fit(Scene::Dumped(fmt::format("BUILD-ID={}\nKERNELOFFSET=100000\n", kId)));
  CHECK(same.mismatch.empty());
  CHECK(same.doubt.empty());
  CHECK(same.offset == 0x100000);
  const VmlinuxFit other = scene.Fit(Scene::Dumped(fmt::format("BUILD-ID={}\n", kOtherId)));
  CHECK(other.mismatch.find(kOtherId) != std::string::npos);
  CHECK(other.mismatch.find(kId) != std::string::npos);
}

TEST_CASE("without build ids addresses and the release speak") {
  Scene scene;
  for (const std::string_view id : {"", "BUILD-ID=\x01\x02garbage\n", "BUILD-ID=12ab\n"}) {
    const VmlinuxFit fit = scene.Fit(Scene::Dumped(id));
    CHECK_MESSAGE(fit.mismatch.empty(), fit.mismatch);
    CHECK(fit.doubt ==
          "build ids cannot be compared; 1 address of VMCOREINFO and the release agree");
    CHECK(fit.offset == 0x100000);
  }
  SUBCASE("another address") { scene.table.symbols[1].address += 8; }
  SUBCASE("another release") {
    scene.kernel.WriteText(KernelVa(Scene::kVirtual + 0x103000), "Linux version 6.1.01 (gcc)");
  }
  SUBCASE("nothing to compare") { scene.table.symbols.resize(1); }
  CHECK_FALSE(scene.Fit(Scene::Dumped()).mismatch.empty());
}

TEST_CASE("KERNELOFFSET and _stext must agree; one of them is enough") {
  Scene scene;
  const std::string id = fmt::format("BUILD-ID={}\n", kId);
  CHECK_FALSE(scene.Fit(Scene::Dumped(id + "KERNELOFFSET=200000\n")).mismatch.empty());
  CHECK(scene.Fit(Scene::Dumped(id)).mismatch.empty());
  scene.table.symbols.erase(scene.table.symbols.begin());
  const VmlinuxFit fit = scene.Fit(Scene::Dumped(id + "KERNELOFFSET=100000\n"));
  CHECK(fit.mismatch.empty());
  CHECK(fit.offset == 0x100000);
  CHECK_FALSE(scene.Fit(Scene::Dumped(id)).mismatch.empty());
}

TEST_CASE("the usual places are named by release and build id, and lead nowhere else") {
  const std::vector<std::string> places = UsualVmlinuxPlaces("6.1.0-53-amd64", kId);
  for (const std::string_view place :
       {"/usr/lib/debug/boot/vmlinux-6.1.0-53-amd64",
        "/usr/lib/debug/lib/modules/6.1.0-53-amd64/vmlinux",
        "/usr/lib/debug/boot/vmlinux-6.1.0-53-amd64.debug",
        "/usr/lib/debug/usr/lib/modules/6.1.0-53-amd64/vmlinux.debug",
        "/lib/modules/6.1.0-53-amd64/build/vmlinux",
        "/usr/lib/debug/.build-id/1c/d19df5660b03d8ce9a5941ce9fb364548b953a.debug"}) {
    CHECK(std::find(places.begin(), places.end(), place) != places.end());
  }
  for (const std::string_view release :
       {"", "..", "../../etc", "6.1/../x", "6.1 0", ".hidden", "6.1\n"}) {
    CHECK(UsualVmlinuxPlaces(release, "").empty());
  }
  for (const std::string_view id : {"", "../../../../etc/passwd/................", "1c"}) {
    CHECK(UsualVmlinuxPlaces("", id).empty());
  }
}

}  // namespace
}  // namespace dmaudit
