// SPDX-License-Identifier: GPL-2.0-or-later
// Symbols out of the kallsyms tables in kernel memory.
#ifndef DMAUDIT_KERNEL_KALLSYMS_H_
#define DMAUDIT_KERNEL_KALLSYMS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"
#include "kernel/kallsyms_decode.h"
#include "kernel/kernel_reader.h"
#include "kernel/symbols.h"
#include "kernel/vmcoreinfo.h"

namespace dmaudit {

// Ten times what a large configuration has (vmlinux only; modules keep symbols of their own).
inline constexpr uint32_t kMaxKallsyms = 4'000'000;

// Where the tables lie. Of the addresses only what the kernel has, or may have, is set.
struct KallsymsTables {
  KernelVa names;
  KernelVa num_syms;
  KernelVa token_table;
  KernelVa token_index;
  std::optional<KernelVa> addresses;      // kallsyms_addresses
  std::optional<KernelVa> offsets;        // kallsyms_offsets
  std::optional<KernelVa> relative_base;  // kallsyms_relative_base
  std::optional<LengthForm> lengths;      // when it is known
};

// Symbols of which both kallsyms and VMCOREINFO tell the address: they prove an encoding.
inline constexpr std::array<std::string_view, 5> kKallsymsAnchors = {
    "_stext", "init_uts_ns", "init_top_pgt", "init_level4_pgt", "swapper_pg_dir"};

// The address VMCOREINFO gives to an anchor.
std::optional<KernelVa> AnchorAddress(const Vmcoreinfo& vmcoreinfo, std::string_view anchor);

// Whether _stext is among the hits, and every hit that is an anchor has the address VMCOREINFO
// gives. An error when an address cannot be read.
Result<bool> AnchorsAgree(KernelReader& reader, const AddressTables& tables, AddressForm form,
                          std::span<const NameHit> hits, std::span<const std::string_view> wanted,
                          const Vmcoreinfo& vmcoreinfo);

// The tables of addresses with the value of the relative base.
Result<AddressTables> ReadAddressTables(const KallsymsTables& tables, KernelReader& reader);

// Looks up the wanted names (those that are not there are simply missing from the table). The
// kernel says nowhere how it encoded lengths and addresses: of all combinations the one is taken in
// which _stext, and init_uts_ns and the top page table where kallsyms holds data, have the
// addresses that VMCOREINFO gives; without such a combination kMalformed. kUnknown when the tables
// are not in the dump. `from` is the provenance of the symbols.
Result<SymbolTable> ReadKallsyms(const KallsymsTables& tables, const Vmcoreinfo& vmcoreinfo,
                                 KernelReader& reader, std::span<const std::string_view> wanted,
                                 std::string from);

// The same with the tables that VMCOREINFO of 6.0 and later locates; kNotFound when it does not.
Result<SymbolTable> LoadKallsyms(const Vmcoreinfo& vmcoreinfo, KernelReader& reader,
                                 std::span<const std::string_view> wanted);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_KALLSYMS_H_
