// SPDX-License-Identifier: GPL-2.0-or-later
// What the VT-d driver's own records (struct device_domain_info, struct dmar_domain) say of a
// device: under which requester id, and to which domain, it is attached.
#ifndef DMAUDIT_KERNEL_ATTACHED_DOMAIN_H_
#define DMAUDIT_KERNEL_ATTACHED_DOMAIN_H_

#include <optional>

#include "kernel/device_facts.h"
#include "kernel/device_members.h"
#include "kernel/kernel_view.h"
#include "kernel/type_view.h"

namespace dmaudit {

struct Attachment {
  std::optional<KernelDomain> domain;  // nothing when the device is attached to none
  bool unread = false;  // the record could not be read: `domain` is nothing, and that says nothing
};
// `device` is the struct device; `group` may be null.
Attachment ReadAttachedDomain(const KernelView& kernel, DeviceMembers& members,
                              const StructView& device, const IommuGroup* group);

// The requester id under which the driver attached a device that is not PCI.
std::optional<Bdf> ReadAttachedRequester(const KernelView& kernel, DeviceMembers& members,
                                         const StructView& device);

// What the driver has enabled of a device's services (4.1 and later).
struct AttachedServices {
  std::optional<bool> ats, pri, pasid;
};
AttachedServices ReadAttachedServices(const KernelView& kernel, DeviceMembers& members,
                                      const StructView& device);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_ATTACHED_DOMAIN_H_
