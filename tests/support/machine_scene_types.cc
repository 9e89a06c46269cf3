// SPDX-License-Identifier: GPL-2.0-or-later
// The structures of the small kernel, as its BTF describes them.
#include "support/machine_scene.h"

namespace dmaudit::test {

void MachineScene::Structure(const std::string& name, const std::vector<Field>& fields) {
  std::vector<BtfBuilder::Member> members;
  uint32_t offset = 0;
  for (const Field& field : fields) {
    if (!field.present) continue;
    const uint32_t align = field.size >= 8 && field.name != "name" ? 8 : 1;
    offset = (offset + align - 1) / align * align;
    if (field.size == 0) {
      members.push_back({field.name, field.type, offset * 8, 1});
      offsets_[name + "." + field.name] = offset++;
    } else {
      members.push_back({field.name, field.type, offset * 8});
      offsets_[name + "." + field.name] = offset;
      offset += field.size;
    }
  }
  btf_.Struct(name, (offset + 7) / 8 * 8, members);
}

void MachineScene::BuildTypes() {
  const uint32_t u64 = btf_.Int("u64", 8);
  const uint32_t u32 = btf_.Int("u32", 4);
  const uint32_t u16 = btf_.Int("u16", 2);
  const uint32_t u8 = btf_.Int("u8", 1);
  const uint32_t pointer = btf_.Pointer(0);
  const uint32_t list = btf_.Struct("list_head", 16, {{"next", pointer, 0}, {"prev", pointer, 64}});
  const uint32_t names = btf_.Struct("new_utsname", 390, {{"sysname", btf_.Array(u8, 65), 0}});
  Structure("uts_namespace", {{"kref", u32, 4}, {"name", names, 390, has_uts_name}});
  Structure("dmar_drhd_unit", {{"list", list, 16},
                               {"reg_base_addr", u64, 8},
                               {"segment", u16, 2},
                               {"ignored", u8, bit_fields ? 0u : 1u},
                               {"include_all", u8, 1},
                               {"devices", pointer, 8},
                               {"devices_cnt", u32, 4},
                               {"iommu", pointer, 8}});
  for (const char* name : {"dmar_rmrr_unit", "dmar_atsr_unit", "dmar_satc_unit"}) {
    Structure(name, {{"list", list, 16},
                     {"hdr", pointer, 8},
                     {"base_address", u64, 8},
                     {"end_address", u64, 8},
                     {"devices", pointer, 8},
                     {"devices_cnt", u32, 4},
                     {"include_all", u8, 1},
                     {"atc_required", u8, 1}});
  }
  for (const char* name : {"acpi_dmar_reserved_memory", "acpi_dmar_atsr", "acpi_dmar_satc"}) {
    Structure(name, {{"header", u32, 4}, {"reserved", u16, 2}, {"segment", u16, 2}});
  }
  if (!scopes_of_pci_dev) {
    Structure("dmar_dev_scope", {{"dev", pointer, 8}, {"bus", u8, 1}, {"devfn", u8, 1}});
  }
  const uint32_t device = btf_.next_id();
  Structure("iommu_device", {{"list", list, 16}, {"ops", pointer, 8}, {"dev", pointer, 8}});
  Structure("intel_iommu", {{"reg", pointer, 8},
                            {"reg_phys", u64, 8, has_reg_phys},
                            {"reg_size", u64, 8, has_reg_phys},
                            {"cap", u64, 8},
                            {"ecap", u64, 8},
                            {"gcmd", u32, 4},
                            {"seq_id", u32, 4},
                            {"segment", u16, 2, has_segment},
                            {"name", btf_.Array(u8, name_length), name_length},
                            {"copied_tables", pointer, 8, has_copied_tables},
                            {"root_entry", pointer, 8},
                            {"prq", pointer, 8, has_page_requests},
                            {"qi", pointer, 8},
                            {"ir_table", pointer, 8, has_ir_table},
                            {"iommu", device, 32, has_iommu_device},
                            {"flags", u32, 4, has_flags},
                            {"drhd", pointer, 8, has_back_pointer}});
  Structure("q_inval", {{"q_lock", u32, 4}, {"desc", pointer, 8}});
  Structure("ir_table", {{"base", pointer, 8}});
  Structure("resource", {{"start", u64, 8},
                         {"end", u64, 8},
                         {"name", pointer, 8},
                         {"flags", u64, 8},
                         {"desc", u64, 8},
                         {"parent", pointer, 8},
                         {"sibling", pointer, 8},
                         {"child", pointer, 8}});
  Structure("range", {{"start", u64, 8}, {"end", u64, 8}});
  BuildDeviceTypes(u32, u16, u8, pointer, list);
  const uint32_t segment = btf_.next_id();
  Structure("kexec_segment",
            {{"buf", pointer, 8}, {"bufsz", u64, 8}, {"mem", u64, 8}, {"memsz", u64, 8}});
  Structure("kimage", {{"start", u64, 8},
                       {"nr_segments", u64, 8},
                       {"segment", btf_.Array(segment, 16), 16 * 32},
                       {"file_mode", u8, 1},
                       {"kernel_buf_len", u64, 8},
                       {"initrd_buf_len", u64, 8},
                       {"elf_load_addr", u64, 8}});
  Structure("task_struct", {{"state", u64, 8}});
  const std::vector<std::byte> blob = btf_.Build();
  memory_->Write(PhysAddr(Physical(kBtf)), blob);
  places_["__start_BTF"] = kBtf;
  places_["__stop_BTF"] = kBtf + blob.size();
}

void MachineScene::BuildDeviceTypes(uint32_t u32, uint32_t u16, uint32_t u8, uint32_t pointer,
                                    uint32_t list) {
  const uint32_t kobject = btf_.next_id();
  Structure("kobject", {{"name", pointer, 8}, {"entry", list, 16}});
  Structure("kset", {{"list", list, 16}});
  const uint32_t archdata = btf_.next_id();
  Structure("dev_archdata", {{"iommu", pointer, 8}});
  const uint32_t device = btf_.next_id();
  Structure("device", {{"kobj", kobject, 24},
                       {"init_name", pointer, 8},
                       {"bus", pointer, 8},
                       {"driver", pointer, 8},
                       {"archdata", archdata, 8, !has_dev_iommu || has_archdata},
                       {"iommu_group", pointer, 8, has_groups},
                       {"iommu", pointer, 8, has_dev_iommu}});
  Structure("pci_bus", {{"node", list, 16},
                        {"children", list, 16},
                        {"devices", list, 16},
                        {"sysdata", pointer, 8},
                        {"self", pointer, 8},
                        {"number", u8, 1}});
  Structure("pci_sysdata", {{"domain", u32, 4}, {"node", u32, 4}});
  const uint32_t pci_dev = btf_.next_id();
  Structure("pci_dev", {{"bus_list", list, 16},
                        {"bus", pointer, 8},
                        {"devfn", u32, 4},
                        {"vendor", u16, 2},
                        {"device", u16, 2},
                        {"class", u32, 4},
                        {"hdr_type", u8, 1},
                        {"current_state", u32, 4},
                        {"is_busmaster", u8, 1},
                        {"ats_enabled", u8, 1, has_services},
                        {"pri_enabled", u8, 1, has_services && has_all_services},
                        {"pasid_enabled", u8, 1, has_services && has_all_services},
                        {"is_virtfn", u8, 1},
                        {"physfn", pointer, 8},
                        {"dev", device, 72}});
  Structure("device_driver", {{"name", pointer, 8}, {"bus", pointer, 8}});
  const uint32_t xarray = btf_.next_id();
  Structure("xarray", {{"xa_flags", u32, 4}, {"xa_head", pointer, 8}});
  Structure("iommu_group", {{"kobj", kobject, 24},
                            {"devices", list, 16},
                            {"id", u32, 4},
                            {"default_domain", pointer, 8, has_domain_types},
                            {"blocking_domain", pointer, 8, has_group_owner},
                            {"domain", pointer, 8, has_domain_types},
                            {"pasid_array", xarray, 16, has_pasid_domains},
                            {"owner", pointer, 8, has_group_owner}});
  if (has_attach_handles) Structure("iommu_attach_handle", {{"domain", pointer, 8}});
  if (has_group_device) Structure("group_device", {{"list", list, 16}, {"dev", pointer, 8}});
  const uint32_t domain = btf_.next_id();
  Structure("iommu_domain", {{"type", u32, 4}, {"ops", pointer, 8}});
  Structure("dev_iommu", {{"priv", pointer, 8}});
  Structure("xa_node", {{"shift", u8, 1}, {"slots", btf_.Array(pointer, 64), 64 * 8}});
  Structure("iommu_domain_info", {{"iommu", pointer, 8}, {"did", u16, 2}});
  // The tables of either stage, at the same place.
  const uint32_t common =
      btf_.Struct("pt_common", 8, {{"top_of_table", btf_.Int("uintptr_t", 8), 0}});
  const uint32_t first = btf_.Struct("pt_x86_64", 8, {{"common", common, 0}});
  const uint32_t second = btf_.Struct("pt_vtdss", 8, {{"common", common, 0}});
  const uint32_t fspt =
      btf_.Struct("pt_iommu_x86_64", 24, {{"iommu", domain, 0}, {"x86_64_pt", first, 128}});
  const uint32_t sspt =
      btf_.Struct("pt_iommu_vtdss", 24, {{"iommu", domain, 0}, {"vtdss_pt", second, 128}});
  const uint32_t either = btf_.Struct(
      "", 24, {{"domain", domain, 0}, {"fspt", fspt, 0}, {"sspt", sspt, 0}}, BtfKind::kUnion);
  // The tables of a domain that is not of a process, beside what those of others keep there.
  const uint32_t own = btf_.Struct("", 16, {{"pgd", pointer, 0}, {"agaw", u32, 64}});
  const uint32_t notifier = btf_.Struct("mmu_notifier", 16, {{"hlist", list, 0}});
  const uint32_t kinds =
      btf_.Struct("", 16, {{"", own, 0}, {"notifier", notifier, 0}}, BtfKind::kUnion);
  const bool plain = !generic_page_tables && !pgd_in_union;
  Structure("dmar_domain", {{"", pgd_in_union ? kinds : either, pgd_in_union ? 16U : 24U, !plain},
                            {"pgd", pointer, 8, plain},
                            {"agaw", u32, 4, plain},
                            {"id", u32, 4, domain_ids == DomainIds::kOne},
                            {"flags", u32, 4, domain_ids == DomainIds::kOne},
                            {"use_first_level", u8, 1, has_first_stage_flag},
                            {"iommu_did", btf_.Array(u16, units_supported), units_supported * 2,
                             domain_ids == DomainIds::kArray},
                            {"iommu_array", xarray, 16, domain_ids == DomainIds::kXarray},
                            {"domain", domain, 16, !generic_page_tables}});
  Structure("device_domain_info", {{"link", list, 16},
                                   {"segment", u32, 4, has_segment && has_info_segment},
                                   {"bus", u8, 1},
                                   {"devfn", u8, 1},
                                   {"ats_enabled", u8, 1, has_driver_services},
                                   {"pri_enabled", u8, 1, has_driver_services},
                                   {"pasid_enabled", u8, 1, has_driver_services},
                                   {"dev", btf_.Pointer(info_of_pci_dev ? pci_dev : device), 8},
                                   {"iommu", pointer, 8},
                                   {"domain", pointer, 8}});
}

}  // namespace dmaudit::test
