// SPDX-License-Identifier: GPL-2.0-or-later
// What a group has its requests with a PASID in.
#include "kernel/pasid_domains.h"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "support/machine_scene.h"

namespace dmaudit {
namespace {

using test::MachineScene;

using Types = std::map<uint32_t, DomainType>;

// Objects of a kernel, each in a page of its own.
class Objects {
 public:
  explicit Objects(MachineScene& scene) : scene_(scene) {}

  uint64_t Domain(uint64_t type) {
    const uint64_t at = Next();
    Put(at + scene_.OffsetOf("iommu_domain.type"), type);
    return at;
  }
  uint64_t Handle(uint64_t domain) {
    const uint64_t at = Next();
    Put(at, domain);
    return at;
  }
  // The entry that leads to a node.
  uint64_t Node(uint8_t shift, const std::vector<std::pair<unsigned, uint64_t>>& slots) {
    const uint64_t at = Next();
    for (const auto& [slot, entry] : slots) {
      Put(at + scene_.OffsetOf("xa_node.slots") + slot * 8, entry);
    }
    scene_.memory().Write(PhysAddr(MachineScene::Physical(at + scene_.OffsetOf("xa_node.shift"))),
                          std::as_bytes(std::span(&shift, 1)));
    return at + 2;
  }
  uint64_t Lost(uint64_t object) {
    scene_.memory().SetState(PhysAddr(MachineScene::Physical(object)), 8, ByteState::kLost);
    return object;
  }
  void SetHead(uint64_t entry) {
    Put(scene_.At("group0.pasid_array") + scene_.OffsetOf("xarray.xa_head"), entry);
  }

 private:
  uint64_t Next() { return next_ += 0x1000; }
  void Put(uint64_t address, uint64_t value) {
    scene_.memory().WriteU64(PhysAddr(MachineScene::Physical(address)), value);
  }

  MachineScene& scene_;
  uint64_t next_ = MachineScene::kSlab + 0x1000000;
};

struct Look {
  explicit Look(const std::function<void(Objects&)>& fill, bool has_handles = true) {
    scene.has_attach_handles = has_handles;
    scene.Build();
    Objects objects(scene);
    fill(objects);
    Result<MachineState> found = scene.Discover();
    REQUIRE(found);
    REQUIRE(found->inventory.groups.size() == 1);
    types = found->inventory.groups[0].pasid_domains;
    CHECK_FALSE(scene.sink.incomplete());
  }

  MachineScene scene;
  Types types;
};

TEST_CASE("a domain for each PASID, in every form that kernels keep entries") {
  const Types expected = {{1, DomainType::kSva}, {63, DomainType::kDma}};
  const Look domains(
      [](Objects& o) {
        o.SetHead(o.Node(0, {{1, o.Domain(16)}, {63, o.Domain(3)}}));
      },
      false);
  CHECK(domains.types == expected);
  const Look handles([](Objects& o) {
    o.SetHead(o.Node(0, {{1, o.Handle(o.Domain(16))}, {63, o.Handle(o.Domain(3))}}));
  });
  CHECK(handles.types == expected);
  const Look marked([](Objects& o) {
    o.SetHead(o.Node(0, {{1, o.Handle(o.Domain(16)) | 1}, {63, o.Domain(3)}}));
  });
  CHECK(marked.types == expected);
  for (const Look* look : {&domains, &handles, &marked}) {
    CHECK(look->scene.sink.diagnostics().empty());
  }
}

TEST_CASE("PASIDs of several nodes, up to the last that there is") {
  const Look look([](Objects& o) {
    const uint64_t low = o.Node(0, {{2, o.Domain(16)}});
    const uint64_t last = o.Node(0, {{63, o.Domain(64)}});
    const uint64_t top = o.Node(18, {{0, o.Node(12, {{0, o.Node(6, {{1, low}})}})},
                                     {3, o.Node(12, {{63, o.Node(6, {{63, last}})}})},
                                     {4, o.Node(12, {{0, o.Node(6, {{0, low}})}})}});
    o.SetHead(top);
  });
  // The fifth slot of the top node is beyond 20 bits.
  CHECK(look.types == Types{{66, DomainType::kSva}, {0xfffff, DomainType::kNested}});
}

TEST_CASE("an array without entries, and entries that are none") {
  CHECK(Look([](Objects&) {}).types.empty());
  CHECK(Look([](Objects& o) { o.SetHead(o.Domain(16)); }).types == Types{{0, DomainType::kSva}});
  const Look look([](Objects& o) {
    // Reserved; a number; a user address; a domain of no known type; a mark that nothing has.
    o.SetHead(o.Node(0, {{1, 0x406},
                         {2, 0x81},
                         {3, 0x5000},
                         {4, o.Domain(5)},
                         {5, o.Domain(16) | 3},
                         {6, o.Handle(0x5000)},
                         {7, o.Handle(MachineScene::kDirect - 0x1000)}}));
  });
  CHECK(look.types.empty());
  CHECK(look.scene.sink.diagnostics().empty());
}

TEST_CASE("an unmarked entry that leads to what is not known is neither handle nor domain") {
  const Look look([](Objects& o) {
    // The low half of the last pointer looks like the type of a domain that blocks.
    o.SetHead(o.Node(0, {{1, o.Lost(o.Domain(16))},
                         {2, o.Lost(o.Handle(o.Domain(16)))},
                         {3, o.Handle(o.Lost(o.Domain(16)))},
                         {4, o.Handle(MachineScene::kDirect + 0x100000000)}}));
  });
  CHECK(look.types.empty());
}

TEST_CASE("nodes that do not fit each other are left out, and named once") {
  for (const uint8_t shift : {uint8_t{1}, uint8_t{6}, uint8_t{12}, uint8_t{24}}) {
    CAPTURE(shift);
    const Look look([shift](Objects& o) {
      const uint64_t domain = o.Domain(16);
      o.SetHead(o.Node(6, {{0, o.Node(shift, {{1, domain}})},
                           {1, o.Node(shift, {{2, domain}})},
                           {2, o.Node(0, {{3, domain}})}}));
    });
    CHECK(look.types == Types{{131, DomainType::kSva}});
    CHECK(look.scene.Count("kernel.damaged", Effect::kNote) == 1);
  }
}

TEST_CASE("nodes that are linked again and again end") {
  const Look look([](Objects& o) {
    uint64_t entry = o.Node(0, {{1, o.Domain(16)}});
    for (const uint8_t shift : {uint8_t{6}, uint8_t{12}, uint8_t{18}}) {
      std::vector<std::pair<unsigned, uint64_t>> slots;
      for (unsigned slot = 0; slot < 64; ++slot) slots.emplace_back(slot, entry);
      entry = o.Node(shift, slots);
    }
    o.SetHead(entry);
  });
  CHECK(look.types.size() <= PasidDomains::kMaxNodes);
  CHECK(look.scene.Count("kernel.limit", Effect::kNote) == 1);
}

}  // namespace
}  // namespace dmaudit
