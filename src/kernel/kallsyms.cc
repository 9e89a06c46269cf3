// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kallsyms.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace dmaudit {
namespace {

constexpr std::array kLengthForms = {LengthForm::kUleb128, LengthForm::kOneByte};
constexpr std::array kAddressForms = {AddressForm::kPlaceRelative, AddressForm::kAbsolutePerCpu,
                                      AddressForm::kBaseRelative, AddressForm::kAbsolute};

Result<KallsymsTables> LocateTables(const Vmcoreinfo& vmcoreinfo) {
  const std::optional<KernelVa> names = vmcoreinfo.Symbol("kallsyms_names");
  const std::optional<KernelVa> num_syms = vmcoreinfo.Symbol("kallsyms_num_syms");
  const std::optional<KernelVa> token_table = vmcoreinfo.Symbol("kallsyms_token_table");
  const std::optional<KernelVa> token_index = vmcoreinfo.Symbol("kallsyms_token_index");
  if (!names || !num_syms || !token_table || !token_index) {
    return Fail(ErrorCode::kNotFound,
                "VMCOREINFO does not locate the kallsyms tables (kernels before 6.0 do not)");
  }
  KallsymsTables tables{*names, *num_syms, *token_table, *token_index, {}, {}, {}, {}};
  tables.addresses = vmcoreinfo.Symbol("kallsyms_addresses");
  tables.offsets = vmcoreinfo.Symbol("kallsyms_offsets");
  if (!tables.addresses && !tables.offsets) {
    return Fail(ErrorCode::kNotFound,
                "VMCOREINFO has neither kallsyms_offsets nor kallsyms_addresses");
  }
  tables.relative_base = vmcoreinfo.Symbol("kallsyms_relative_base");
  return tables;
}

}  // namespace

std::optional<KernelVa> AnchorAddress(const Vmcoreinfo& vmcoreinfo, std::string_view anchor) {
  if (const std::optional<KernelVa> own = vmcoreinfo.Symbol(anchor)) return own;
  // swapper_pg_dir is a macro for the top page table, whose name kallsyms has.
  if (anchor == "init_top_pgt" || anchor == "init_level4_pgt") {
    return vmcoreinfo.Symbol("swapper_pg_dir");
  }
  return std::nullopt;
}

Result<bool> AnchorsAgree(KernelReader& reader, const AddressTables& tables, AddressForm form,
                          std::span<const NameHit> hits, std::span<const std::string_view> wanted,
                          const Vmcoreinfo& vmcoreinfo) {
  bool stext_agrees = false;
  for (const NameHit& hit : hits) {
    const std::string_view name = wanted[hit.wanted];
    if (std::find(kKallsymsAnchors.begin(), kKallsymsAnchors.end(), name) ==
        kKallsymsAnchors.end()) {
      continue;
    }
    const std::optional<KernelVa> expected = AnchorAddress(vmcoreinfo, name);
    if (!expected) continue;
    const Result<KernelVa> address = DecodeAddress(reader, tables, form, hit.index);
    if (!address) {
      if (address.error().code == ErrorCode::kNotFound) return false;
      return tl::unexpected<Error>(address.error());
    }
    if (*address != *expected) return false;
    if (name == kKallsymsAnchors[0]) stext_agrees = true;
  }
  return stext_agrees;
}

Result<AddressTables> ReadAddressTables(const KallsymsTables& tables, KernelReader& reader) {
  AddressTables out{tables.addresses, tables.offsets, std::nullopt};
  if (tables.relative_base) {
    const Result<uint64_t> value = reader.ReadU64(*tables.relative_base);
    if (!value) return Within("kallsyms_relative_base", value.error());
    out.relative_base = *value;
  }
  return out;
}

Result<SymbolTable> ReadKallsyms(const KallsymsTables& tables, const Vmcoreinfo& vmcoreinfo,
                                 KernelReader& reader, std::span<const std::string_view> wanted,
                                 std::string from) {
  const Result<AddressTables> address_tables = ReadAddressTables(tables, reader);
  if (!address_tables) return tl::unexpected<Error>(address_tables.error());
  if (!vmcoreinfo.Symbol(kKallsymsAnchors[0])) {
    return Fail(ErrorCode::kNotFound,
                "VMCOREINFO has no SYMBOL(_stext) to tell the kallsyms encodings apart");
  }
  const Result<uint32_t> count = reader.ReadU32(tables.num_syms);
  if (!count) return Within("kallsyms_num_syms", count.error());
  if (*count == 0 || *count > kMaxKallsyms) {
    return Fail(ErrorCode::kMalformed, "kallsyms_num_syms is {}, expected 1 to {}", *count,
                kMaxKallsyms);
  }
  const Result<TokenTable> tokens =
      TokenTable::Read(reader, tables.token_table, tables.token_index);
  if (!tokens) return tl::unexpected<Error>(tokens.error());

  std::vector<std::string_view> names(wanted.begin(), wanted.end());
  for (const std::string_view anchor : kKallsymsAnchors) {
    if (std::find(names.begin(), names.end(), anchor) == names.end()) names.push_back(anchor);
  }
  Error failure{ErrorCode::kMalformed, "kallsyms: no encoding gives the _stext of VMCOREINFO"};
  for (const LengthForm length_form : kLengthForms) {
    if (tables.lengths && *tables.lengths != length_form) continue;
    const Result<std::vector<NameHit>> hits =
        ScanNames(reader, tables.names, *count, *tokens, length_form, names);
    if (!hits) {
      // Names that make no sense mean the wrong form; names that are not known are the answer.
      if (hits.error().code != ErrorCode::kMalformed) failure = hits.error();
      continue;
    }
    for (const AddressForm form : kAddressForms) {
      const Result<bool> agree =
          AnchorsAgree(reader, *address_tables, form, *hits, names, vmcoreinfo);
      if (!agree) return tl::unexpected<Error>(agree.error());
      if (!*agree) continue;
      SymbolTable symbols(std::move(from));
      for (const NameHit& hit : *hits) {
        const Result<KernelVa> address = DecodeAddress(reader, *address_tables, form, hit.index);
        // One word that is not in the dump costs one symbol, not the others.
        if (address) {
          symbols.Add(names[hit.wanted], *address);
        } else if (address.error().code == ErrorCode::kUnknown) {
          symbols.AddUnread(names[hit.wanted], address.error());
        } else {
          return tl::unexpected<Error>(address.error());
        }
      }
      return symbols;
    }
  }
  return tl::unexpected<Error>(failure);
}

Result<SymbolTable> LoadKallsyms(const Vmcoreinfo& vmcoreinfo, KernelReader& reader,
                                 std::span<const std::string_view> wanted) {
  const Result<KallsymsTables> tables = LocateTables(vmcoreinfo);
  if (!tables) return tl::unexpected<Error>(tables.error());
  return ReadKallsyms(*tables, vmcoreinfo, reader, wanted, "kallsyms (VMCOREINFO)");
}

}  // namespace dmaudit
