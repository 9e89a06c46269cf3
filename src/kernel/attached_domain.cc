// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/attached_domain.h"

#include <string>
#include <string_view>

#include "kernel/xarray.h"

namespace dmaudit {
namespace {

// Markers that older kernels keep instead of a pointer to their device data.
constexpr uint64_t kDummyInfo = UINT64_MAX;
constexpr uint64_t kDeferredInfo = UINT64_MAX - 1;

// Level of a generic page table's top, beside its address.
constexpr uint64_t kTopLevel = 7;

class Reader {
 public:
  Reader(const KernelView& kernel, DeviceMembers& members) : kernel_(kernel), members_(members) {}

  Attachment AttachmentOf(const StructView& device, const IommuGroup* group) {
    Attachment attachment;
    attachment.domain = AttachedTo(device, group);
    attachment.unread = !attachment.domain && unread_;
    return attachment;
  }

  std::optional<Bdf> RequesterOf(const StructView& device) {
    const std::optional<StructView> info = InfoOf(device);
    if (!info) return std::nullopt;
    const auto bus = Integer(*info, "bus");
    const auto devfn = Integer(*info, "devfn");
    std::optional<uint64_t> segment = Integer(*info, "segment");
    if (!info->Has("segment")) {
      const auto unit = Integer(*info, "iommu");
      if (unit) segment = Integer(View(KernelVa(*unit), "intel_iommu"), "segment");
    }
    if (!bus || !devfn || !segment || *segment > 0xffff) return std::nullopt;
    return Bdf{static_cast<uint16_t>(*segment), static_cast<uint8_t>(*bus),
               static_cast<uint8_t>(*devfn)};
  }

  AttachedServices ServicesOf(const StructView& device) {
    const std::optional<StructView> info = InfoOf(device);
    if (!info) return {};
    return {members_.Flag(*info, "ats_enabled"), members_.Flag(*info, "pri_enabled"),
            members_.Flag(*info, "pasid_enabled")};
  }

 private:
  std::optional<KernelDomain> AttachedTo(const StructView& device, const IommuGroup* group) {
    const std::optional<StructView> info = InfoOf(device);
    if (!info) return std::nullopt;
    const auto pointer = Link(*info, "domain");
    if (!pointer) return std::nullopt;
    if (*pointer == 0) return WithoutTables(*info, group);
    KernelDomain attached;
    attached.address = KernelVa(*pointer);
    const StructView domain = View(attached.address, "dmar_domain");
    attached.type = OwnType(domain);
    if (HasTables(domain, attached.type)) {
      ReadRoot(domain, attached);
      attached.first_stage = FirstStage(domain);
    }
    const auto unit = Integer(*info, "iommu");
    if (unit && *unit != 0) {
      const StructView iommu = View(KernelVa(*unit), "intel_iommu");
      attached.did = DomainIdOn(iommu, domain);
      attached.unit = UnitName(iommu);
    }
    return attached;
  }

  StructView View(KernelVa address, const char* type) const { return members_.View(address, type); }
  std::optional<uint64_t> Integer(const StructView& view, std::string_view path) {
    return members_.Integer(view, path);
  }

  // A member on the way from the device to its domain: without it, whether there is one is unknown.
  std::optional<uint64_t> Link(const StructView& view, std::string_view path) {
    const std::optional<uint64_t> value = Integer(view, path);
    if (!value && view.Has(path)) unread_ = true;
    return value;
  }

  // The VT-d driver's data of a device (struct device_domain_info).
  std::optional<StructView> InfoOf(const StructView& device) {
    std::optional<uint64_t> pointer;
    if (const auto holder = Link(device, "iommu"); holder && *holder != 0) {
      pointer = Link(View(KernelVa(*holder), "dev_iommu"), "priv");
    }
    if (!pointer || *pointer == 0) pointer = Link(device, "archdata.iommu");
    if (!pointer || *pointer == 0 || *pointer == kDummyInfo || *pointer == kDeferredInfo) {
      return std::nullopt;
    }
    const StructView info = View(KernelVa(*pointer), "device_domain_info");
    // Other drivers keep other things there; this one points back.
    if (Link(info, "dev") != PointedBackTo(device)) return std::nullopt;
    return info;
  }

  // What device_domain_info.dev is for `device`: a struct pci_dev up to 3.14, which all devices of
  // the driver were then, the struct device within it later.
  std::optional<uint64_t> PointedBackTo(const StructView& device) const {
    const Result<MemberLayout> back = kernel_.types.Member("device_domain_info", "dev");
    if (!back || back->struct_name != "pci_dev") return device.address().value();
    const Result<MemberLayout> inside = kernel_.types.Member("pci_dev", "dev");
    if (!inside) return std::nullopt;
    return device.address().value() - inside->bit_offset / 8;
  }

  // A member that may be unreadable without further notice: attributes of a domain.
  static std::optional<uint64_t> Attempt(const StructView& view, std::string_view path) {
    const Result<uint64_t> value = view.Integer(path);
    if (!value) return std::nullopt;
    return *value;
  }

  // Attached to no struct dmar_domain: to the driver's only domain of its type, which the group
  // has.
  std::optional<KernelDomain> WithoutTables(const StructView& info, const IommuGroup* group) {
    if (group == nullptr ||
        (group->domain != DomainType::kIdentity && group->domain != DomainType::kBlocked)) {
      return std::nullopt;
    }
    KernelDomain attached;
    attached.address = group->domain_address;
    attached.without_tables = true;
    attached.type = group->domain;
    const auto unit = Attempt(info, "iommu");
    if (unit && *unit != 0) attached.unit = UnitName(View(KernelVa(*unit), "intel_iommu"));
    return attached;
  }

  static std::optional<std::string> UnitName(const StructView& iommu) {
    const Result<std::string> name = iommu.Text("name");
    if (!name || name->empty()) return std::nullopt;
    return *name;
  }

  // The domain's own type: up to 5.6 a device could be moved to another domain than its group's.
  // Domains that the driver made for itself then have type 0, which is that of a blocking domain;
  // the static identity domain is told by its variable.
  std::optional<DomainType> OwnType(const StructView& domain) {
    const auto raw = Attempt(domain, "domain.type");
    if (raw && *raw != 0) return DomainTypeOf(*raw);
    const std::optional<KernelVa> variable = kernel_.symbols.Get("si_domain");
    if (!variable) return std::nullopt;
    const Result<uint64_t> identity = kernel_.reader.ReadU64(*variable);
    if (identity && *identity == domain.address().value()) return DomainType::kIdentity;
    return std::nullopt;
  }

  // Domains of a process and nested ones keep other things where tables are kept (a union since
  // 6.7).
  static bool HasTables(const StructView& domain, const std::optional<DomainType>& type) {
    if (!type) return !domain.Has("domain.type") || Attempt(domain, "domain.type").has_value();
    return *type != DomainType::kSva && *type != DomainType::kNested;
  }

  // A flag (6.3 to 6.18), else by the operations. The bit in `flags` (5.6 to 6.1) had other
  // meanings before, and no member tells which.
  std::optional<bool> FirstStage(const StructView& domain) {
    if (domain.Has("use_first_level")) {
      const auto flag = Attempt(domain, "use_first_level");
      if (!flag) return std::nullopt;
      return *flag != 0;
    }
    const auto operations = Attempt(domain, "domain.ops");
    if (!operations) return std::nullopt;
    for (const bool first : {true, false}) {
      const std::optional<KernelVa> symbol =
          kernel_.symbols.Get(first ? "intel_fs_paging_domain_ops" : "intel_ss_paging_domain_ops");
      if (symbol && symbol->value() == *operations) return first;
    }
    return std::nullopt;
  }

  // The top table: pgd and agaw up to 6.18, then a generic page table, of either stage at the same
  // place.
  void ReadRoot(const StructView& domain, KernelDomain& attached) {
    std::optional<uint64_t> top = Integer(domain, "pgd");
    if (top) {
      if (const auto width = Integer(domain, "agaw"); width && *width <= 3) {
        attached.levels = static_cast<unsigned>(*width + 2);
      }
    } else {
      const char* second = "sspt.vtdss_pt.common.top_of_table";
      const char* first = "fspt.x86_64_pt.common.top_of_table";
      const Result<KernelVa> a = domain.AddressOf(second);
      const Result<KernelVa> b = domain.AddressOf(first);
      if (!a || !b || *a != *b) return;
      top = Integer(domain, second);
      if (!top) return;
      attached.levels = static_cast<unsigned>(*top & kTopLevel) + 1;
      top = *top & ~kTopLevel;
    }
    if (*top == 0) return;
    const Result<PhysAddr> root = kernel_.reader.Translate(KernelVa(*top));
    if (root) attached.root = *root;
  }

  // A domain's id on one unit: by the unit's number in an xarray (6.0 and later) or an array (4.3
  // and later), one for all units before.
  std::optional<uint16_t> DomainIdOn(const StructView& unit, const StructView& domain) {
    const auto number = Integer(unit, "seq_id");
    if (!number) return std::nullopt;
    if (domain.Has("iommu_array.xa_head")) {
      const auto head = Integer(domain, "iommu_array.xa_head");
      if (!head) return std::nullopt;
      const Result<uint64_t> entry = ReadXarrayEntry(kernel_.reader, kernel_.types, *head, *number);
      if (!entry) members_.Tell(entry.error());
      // A pointer: it has no marks here.
      if (!entry || *entry == 0 || *entry % 4 != 0) return std::nullopt;
      return Narrow(Integer(View(KernelVa(*entry), "iommu_domain_info"), "did"));
    }
    const Result<MemberLayout> ids = kernel_.types.Member("dmar_domain", "iommu_did");
    if (!ids) {
      // Domains with a flag set (of a virtual machine, static identity; the bits have changed
      // places) got an id on each unit beside this one, up to 4.2.
      const auto flags = Integer(domain, "flags");
      if (domain.Has("flags") && (!flags || *flags != 0)) return std::nullopt;
      return Narrow(Integer(domain, "id"));
    }
    if (*number >= ids->elements || ids->bit_size != ids->elements * 16) return std::nullopt;
    const Result<uint16_t> id = kernel_.reader.ReadU16(
        KernelVa(domain.address().value() + ids->bit_offset / 8 + *number * 2));
    if (!id) return std::nullopt;
    return *id;
  }
  static std::optional<uint16_t> Narrow(std::optional<uint64_t> value) {
    if (!value || *value > 0xffff) return std::nullopt;
    return static_cast<uint16_t>(*value);
  }

  const KernelView& kernel_;
  DeviceMembers& members_;
  bool unread_ = false;
};

}  // namespace

Attachment ReadAttachedDomain(const KernelView& kernel, DeviceMembers& members,
                              const StructView& device, const IommuGroup* group) {
  return Reader(kernel, members).AttachmentOf(device, group);
}

AttachedServices ReadAttachedServices(const KernelView& kernel, DeviceMembers& members,
                                      const StructView& device) {
  return Reader(kernel, members).ServicesOf(device);
}

std::optional<Bdf> ReadAttachedRequester(const KernelView& kernel, DeviceMembers& members,
                                         const StructView& device) {
  return Reader(kernel, members).RequesterOf(device);
}

}  // namespace dmaudit
