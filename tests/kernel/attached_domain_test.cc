// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/attached_domain.h"

#include <doctest/doctest.h>

#include <functional>

#include "support/device_look.h"

namespace dmaudit {
namespace {

using Look = test::DeviceLook;
using test::MachineScene;

TEST_CASE("what the driver's own records attach a device to") {
  using Ids = MachineScene::DomainIds;
  for (const bool dev_iommu : {true, false}) {
    for (const Ids ids : {Ids::kOne, Ids::kArray, Ids::kXarray}) {
      const Look look(
          [&](MachineScene& s) {
            s.domain_ids = ids;
            s.has_dev_iommu = dev_iommu;
          },
          [](MachineScene& s) { s.Attach(0xb000000, 3); });
      CHECK(look.scene.sink.diagnostics().empty());
      REQUIRE(look.device().attached);
      CHECK(look.device().attached->root == PhysAddr(0xb000000));
      CHECK(look.device().attached->levels == 3U);
      CHECK(look.device().attached->did == 9);
    }
  }
  for (const unsigned levels : {3U, 4U, 5U}) {
    const Look generic([](MachineScene& s) { s.generic_page_tables = true; },
                       [&](MachineScene& s) { s.Attach(0xb000000, levels); });
    CHECK(generic.scene.sink.diagnostics().empty());
    REQUIRE(generic.device().attached);
    CHECK(generic.device().attached->root == PhysAddr(0xb000000));
    CHECK(generic.device().attached->levels == levels);
    CHECK(generic.device().attached->did == 9);
  }
  for (const unsigned depth : {1U, 2U, 3U}) {
    const Look deep(nullptr, [&](MachineScene& s) { s.Attach(0xb000000, 4, depth); });
    CHECK(deep.device().attached->did == 9);
  }
}

TEST_CASE("a domain says its own type, its stage, and which unit it is on") {
  const auto domain = [](const std::function<void(MachineScene&)>& before,
                         const std::function<void(MachineScene&)>& after) {
    const Look look(before, [&](MachineScene& s) {
      s.Attach(0xb000000, 4);
      after(s);
    });
    CHECK(look.scene.sink.diagnostics().empty());
    REQUIRE(look.device().attached);
    return *look.device().attached;
  };
  for (const bool generic : {false, true}) {
    CAPTURE(generic);
    const auto of_type = [&](uint64_t type) {
      return domain([&](MachineScene& s) { s.generic_page_tables = generic; },
                    [&](MachineScene& s) { s.SetDomain(type, 0); });
    };
    CHECK(of_type(11).type == DomainType::kDmaFlushQueue);
    CHECK(of_type(11).unit == "dmar0");
    CHECK(of_type(11).root);
    CHECK_FALSE(of_type(11).first_stage);
    CHECK_FALSE(of_type(11).without_tables);
    CHECK(of_type(1).type == DomainType::kUnmanaged);
    // Type 0 is also what nobody set.
    CHECK_FALSE(of_type(0).type);
    CHECK(of_type(0).root);
    // What lies where tables are kept is something else.
    CHECK_FALSE(of_type(16).root);
    CHECK_FALSE(of_type(64).root);
  }
  for (const bool first : {false, true}) {
    CHECK(domain([](MachineScene& s) { s.has_first_stage_flag = true; },
                 [&](MachineScene& s) { s.SetWord("own", "dmar_domain.use_first_level", first); })
              .first_stage == first);
    const char* operations = first ? "intel_fs_paging_domain_ops" : "intel_ss_paging_domain_ops";
    CHECK(domain(
              [&](MachineScene& s) {
                s.generic_page_tables = true;
                s.variables.push_back({"intel_fs_paging_domain_ops", 8});
                s.variables.push_back({"intel_ss_paging_domain_ops", 8});
              },
              [&](MachineScene& s) { s.SetDomain(11, s.At(operations)); })
              .first_stage == first);
  }
}

TEST_CASE("the static identity domain is told by its variable where its type was never set") {
  const auto type = [](uint64_t distance) {
    const Look look(
        [](MachineScene& s) {
          s.variables.push_back({"si_domain", 8});
        },
        [&](MachineScene& s) {
          s.Attach(0xb000000, 4);
          s.SetDomain(0, 0);
          s.Set("si_domain", s.At("own") + distance);
        });
    REQUIRE(look.device().attached);
    return look.device().attached->type;
  };
  CHECK(type(0) == DomainType::kIdentity);
  CHECK_FALSE(type(8));
}

TEST_CASE("one id for all units is that of a domain without flags alone") {
  const auto id = [](uint64_t flags) {
    const Look look([](MachineScene& s) { s.domain_ids = MachineScene::DomainIds::kOne; },
                    [&](MachineScene& s) {
                      s.Attach(0xb000000, 3);
                      s.SetWord("own", "dmar_domain.flags", flags);
                    });
    REQUIRE(look.device().attached);
    return look.device().attached->did;
  };
  CHECK(id(0) == 9);
  for (const uint64_t flag : {uint64_t{1}, uint64_t{2}, uint64_t{4}}) CHECK_FALSE(id(flag));
}

TEST_CASE("a device in no struct dmar_domain is in that of its group, if that has no tables") {
  for (const uint64_t raw : {uint64_t{0}, uint64_t{4}, uint64_t{1}, uint64_t{11}}) {
    const bool attached = raw == 0 || raw == 4;
    CAPTURE(raw);
    const Look look([raw](MachineScene& s) { s.devices[0].domain_type = raw; },
                    [](MachineScene& s) {
                      s.Attach(0xb000000, 3);
                      s.SetWord("info", "device_domain_info.domain", 0);
                    });
    REQUIRE(look.device().attached.has_value() == attached);
    if (!attached) continue;
    const KernelDomain& domain = *look.device().attached;
    CHECK(domain.without_tables);
    CHECK(domain.type == DomainTypeOf(raw));
    CHECK(domain.unit == "dmar0");
    CHECK(domain.address.value() == look.scene.At("domain0"));
    CHECK_FALSE(domain.root);
    CHECK_FALSE(domain.did);
  }
}

TEST_CASE("the driver's data points back to a struct pci_dev or to the struct device in it") {
  for (const bool pci : {false, true}) {
    CAPTURE(pci);
    const auto attached = [pci](uint64_t distance) {
      const Look look(
          [pci](MachineScene& s) {
            s.has_dev_iommu = false;
            s.info_of_pci_dev = pci;
            s.domain_ids = MachineScene::DomainIds::kOne;
          },
          [&](MachineScene& s) {
            s.Attach(0xb000000, 3);
            s.SetWord("info", "device_domain_info.dev",
                      (pci ? s.At("pci0") : s.At("pci0.dev")) + distance);
          });
      return look.device().attached.has_value();
    };
    CHECK(attached(0));
    CHECK_FALSE(attached(8));
  }
}

TEST_CASE("a record that cannot be read is not one of a device attached to nothing") {
  const auto look = [](const std::function<void(MachineScene&)>& change) {
    return Look(nullptr, [&](MachineScene& s) {
      s.Attach(0xb000000, 3);
      change(s);
    });
  };
  const Look sound = look([](MachineScene&) {});
  CHECK(sound.device().attached);
  CHECK_FALSE(sound.device().attachment_unread);
  for (const char* object : {"holder", "info"}) {
    CAPTURE(object);
    const Look lost = look([&](MachineScene& s) { s.SetState(object, ByteState::kLost); });
    CHECK_FALSE(lost.device().attached);
    CHECK(lost.device().attachment_unread);
    CHECK_FALSE(lost.scene.sink.diagnostics().empty());
  }
  // Known to be attached to nothing, and data of another driver.
  const Look none = look([](MachineScene& s) { s.SetWord("holder", "dev_iommu.priv", 0); });
  CHECK_FALSE(none.device().attached);
  CHECK_FALSE(none.device().attachment_unread);
  const Look other = look([](MachineScene& s) { s.SetWord("info", "device_domain_info.dev", 0); });
  CHECK_FALSE(other.device().attached);
  CHECK_FALSE(other.device().attachment_unread);
}

TEST_CASE("records that lead nowhere give no id") {
  const auto id = [](const std::function<void(MachineScene&)>& change) {
    const Look look(nullptr, [&](MachineScene& s) {
      s.Attach(0xb000000, 3, 2);
      change(s);
    });
    REQUIRE(look.device().attached);
    return look.device().attached->did;
  };
  CHECK(id([](MachineScene&) {}) == 9);
  // A node that is its own child, one deeper than its parent, an empty slot, a missing page.
  CHECK_FALSE(id([](MachineScene& s) { s.SetWord("node1", "xa_node.slots", s.At("node1") + 2); }));
  CHECK_FALSE(id([](MachineScene& s) { s.SetWord("node0", "xa_node.shift", 6); }));
  CHECK_FALSE(id([](MachineScene& s) { s.SetWord("node0", "xa_node.slots", 0); }));
  CHECK_FALSE(id([](MachineScene& s) { s.SetState("node0", ByteState::kLost); }));
  // Data of another driver does not point back.
  const Look other(nullptr, [](MachineScene& s) {
    s.Attach(0xb000000, 3);
    s.SetWord("info", "device_domain_info.dev", 0);
  });
  CHECK_FALSE(other.device().attached);
}

}  // namespace
}  // namespace dmaudit
