// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/btf_search.h"

#include <doctest/doctest.h>

#include <functional>

#include "support/btf_builder.h"
#include "support/fake_kernel.h"

namespace dmaudit {
namespace {

using test::BtfBuilder;
using test::FakeKernel;

// Not aligned: early kernels placed it at any address.
constexpr uint64_t kPlace = 0xffffffff82001b89;

BtfBuilder Types() {
  BtfBuilder btf;
  const uint32_t pointer = btf.Pointer(0);
  btf.Struct("list_head", 16, {{"next", pointer, 0}, {"prev", pointer, 64}});
  btf.Struct("task_struct", 8, {{"stack", pointer, 0}});
  btf.Struct("intel_iommu", 8, {{"cap", btf.Int("u64", 8), 0}});
  return btf;
}

struct Scene {
  void Write(uint64_t at, const BtfBuilder& btf) { kernel.Write(KernelVa(at), btf.Build()); }
  Result<Btf> Search() {
    DiagnosticSink sink;
    const auto info = Vmcoreinfo::Parse(
        "SYMBOL(_stext)=ffffffff81000000\nNUMBER(KERNEL_IMAGE_SIZE)=67108864\n", sink);
    MemorySession session(kernel.memory());
    KernelImage image(*info, kernel, session);
    const std::vector<std::string_view> wanted = {"intel_iommu"};
    return SearchBtf(image, wanted);
  }

  FakeKernel kernel;
};

bool Finds(const std::function<void(BtfBuilder&)>& change) {
  BtfBuilder btf = Types();
  change(btf);
  Scene scene;
  scene.Write(kPlace, btf);
  return scene.Search().has_value();
}

TEST_CASE("the kernel's types are found by their header") {
  for (const bool layout : {false, true}) {
    Scene scene;
    BtfBuilder btf = Types();
    if (layout) btf.layout = std::vector<std::pair<uint8_t, uint8_t>>(kBtfKinds);
    scene.Write(kPlace, btf);
    const auto found = scene.Search();
    REQUIRE_MESSAGE(found, (found ? "" : found.error().message));
    CHECK(found->from() == "BTF (found by its header)");
    CHECK(found->SizeOf("intel_iommu").value() == 8);
  }
}

TEST_CASE("a header that has grown is stepped over by its length") {
  for (const size_t more : {4u, 8u, 96u, 100u}) {
    Scene scene;
    BtfBuilder btf = Types();
    btf.layout = std::vector<std::pair<uint8_t, uint8_t>>(kBtfKinds);
    std::vector<std::byte> blob = btf.Build();
    blob.insert(blob.begin() + 32, more, std::byte{0x55});
    StoreUnchecked<uint32_t>(blob, 4, static_cast<uint32_t>(32 + more));
    scene.kernel.Write(KernelVa(kPlace), blob);
    const auto found = scene.Search();
    CHECK(found.has_value() == (more <= 96));
    if (found) CHECK(found->SizeOf("intel_iommu").value() == 8);
  }
}

TEST_CASE("a header with one wrong field is not taken") {
  CHECK(Finds([](BtfBuilder&) {}));
  CHECK_FALSE(Finds([](BtfBuilder& b) { b.header.magic = 0x9feb; }));
  CHECK_FALSE(Finds([](BtfBuilder& b) { b.header.version = 2; }));
  for (const uint32_t length : {0u, 23u, 25u, 31u, 33u, 0xffff'ffffu}) {
    CHECK_FALSE(Finds([&](BtfBuilder& b) { b.header.header_length = length; }));
  }
  CHECK_FALSE(Finds([](BtfBuilder& b) { b.header.type_offset = 4; }));
  CHECK_FALSE(Finds([](BtfBuilder& b) { b.header.type_length = 0; }));
  CHECK_FALSE(Finds([](BtfBuilder& b) { b.header.type_length = 0xffff'fffc; }));
  CHECK_FALSE(Finds([](BtfBuilder& b) { b.header.string_offset = 0; }));
  CHECK_FALSE(Finds([](BtfBuilder& b) { b.header.string_length = 0; }));
  CHECK_FALSE(Finds([](BtfBuilder& b) { b.header.string_length = 0xffff'ffff; }));
}

TEST_CASE("types that do not define the kernel's structures are those of a module") {
  Scene scene;
  BtfBuilder module;
  module.Struct("intel_iommu", 16, {{"cap", module.Int("u64", 8), 0}});
  module.Type("list_head", BtfKind::kForward, 0, false, 0, {});
  module.Type("task_struct", BtfKind::kForward, 0, false, 0, {});
  for (int i = 0; i < 100; ++i) module.Int(fmt::format("filler_{}", i), 4);
  scene.Write(kPlace + 0x4000, module);
  const auto none = scene.Search();
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ErrorCode::kNotFound);
  CHECK(none.error().message.find("does not define the kernel's structures") != std::string::npos);
  scene.Write(kPlace, Types());
  CHECK(scene.Search().value().SizeOf("intel_iommu").value() == 8);
}

TEST_CASE("of several the largest is taken, and of a broken one the next") {
  BtfBuilder small = Types();
  BtfBuilder large;
  const uint32_t pointer = large.Pointer(0);
  large.Struct("list_head", 16, {{"next", pointer, 0}, {"prev", pointer, 64}});
  large.Struct("task_struct", 8, {{"stack", pointer, 0}});
  large.Struct("intel_iommu", 24, {{"cap", large.Int("u64", 8), 0}, {"name", pointer, 64}});
  for (const uint64_t first : {uint64_t{0}, uint64_t{0x4000}}) {
    Scene scene;
    scene.Write(kPlace + first, small);
    scene.Write(kPlace + 0x4000 - first, large);
    CHECK(scene.Search().value().SizeOf("intel_iommu").value() == 24);
    // A type of no kind.
    scene.kernel.WriteU32(KernelVa(kPlace + 0x4000 - first + 24 + 4), 0);
    CHECK(scene.Search().value().SizeOf("intel_iommu").value() == 8);
  }
}

TEST_CASE("types of which a page is missing are not taken") {
  Scene scene;
  BtfBuilder btf = Types();
  for (int i = 0; i < 400; ++i) btf.Int(fmt::format("filler_{}", i), 4);
  scene.Write(kPlace, btf);
  REQUIRE(scene.Search());
  scene.kernel.memory().SetPageState(PhysAddr(kPlace + 0x1000), ByteState::kExcluded);
  CHECK(scene.Search().error().code == ErrorCode::kNotFound);
}

}  // namespace
}  // namespace dmaudit
