// SPDX-License-Identifier: GPL-2.0-or-later
// Writes the seeds of vmcoreinfo_fuzz, kallsyms_fuzz, btf_fuzz, acpi_fuzz and debuginfo_fuzz below
// the folder given.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include "kernel/debuginfo_table.h"
#include "support/btf_builder.h"
#include "support/dmar_table_builder.h"
#include "support/kallsyms_builder.h"

namespace {

using namespace dmaudit;

void Write(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary) << AsText(bytes);
}

// Every kind of structure and of device scope.
std::vector<std::byte> DmarSeed() {
  using Table = test::DmarTableBuilder;
  Table table;
  table.Drhd(0, 0, 0xfed90000,
             {Table::Scope(1, 0, {{2, 0}}), Table::Scope(2, 0, {{1, 0}, {0, 0}}),
              Table::Scope(3, 0xf0, {{31, 7}}), Table::Scope(4, 0, {{15, 0}}),
              Table::Scope(5, 0, {{21, 0}})});
  table.Drhd(1, 1, 0xfed91000, {});
  table.Rmrr(0, 0x7000000, 0x70fffff, {Table::Scope(1, 0, {{2, 0}})});
  for (uint16_t type = 2; type <= 6; ++type) table.Other(type, 1, 0, {});
  return table.Build();
}

std::vector<std::byte> BtfSeed() {
  test::BtfBuilder btf;
  const uint32_t u64 = btf.Int("u64", 8);
  const uint32_t u8 = btf.Int("u8", 1);
  const uint32_t pointer = btf.Pointer(btf.next_id() + 1);
  const uint32_t list = btf.Struct("list_head", 16, {{"next", pointer, 0}, {"prev", pointer, 64}});
  const uint32_t inner = btf.Struct("", 8, {{"cap", btf.Typedef("t", btf.Const(u64)), 0}});
  btf.Struct("unit", 64,
             {{"base", u64, 0},
              {"ignored", u8, 64, 1},
              {"", inner, 128},
              {"name", btf.Array(u8, 13), 192},
              {"link", list, 320}});
  return btf.Build();
}

std::vector<std::byte> KallsymsSeed(AddressForm form) {
  test::KallsymsBuilder tables;
  tables.addresses = form;
  tables.symbols = {{'T', "_stext", 0xffffffff81000000},
                    {'t', std::string(130, 'x'), 0xffffffff81000010},
                    {'D', "dmar_drhd_units", 0xffffffff82ffff40}};
  std::vector<std::byte> image(1, static_cast<std::byte>(form));
  tables.Write([&](uint64_t at, std::span<const std::byte> bytes) {
    const size_t offset = static_cast<size_t>(at - tables.at) + 1;
    // The names are read page by page.
    if (image.size() < offset + bytes.size())
      image.resize((offset + bytes.size()) / 4096 * 4096 + 4097);
    std::copy(bytes.begin(), bytes.end(), image.begin() + static_cast<ptrdiff_t>(offset));
  });
  return image;
}

// A structure with an unnamed one and a named one in it.
std::vector<std::byte> DebuginfoSeed() {
  const auto integer = [](uint64_t offset, uint64_t size) {
    return MemberLayout{offset, size, MemberKind::kInteger, 0, ""};
  };
  const auto embedded = [](uint64_t offset, std::string name) {
    return MemberLayout{offset, 64, MemberKind::kStruct, 0, std::move(name)};
  };
  DebuginfoTable table;
  table.build_id = "1cd19df5660b03d8ce9a5941ce9fb364548b953a";
  table.symbols = {{"_stext", 0xffffffff81000000}};
  table.composites = {
      {"intel_iommu",
       32,
       {{"cap", integer(0, 64)},
        {"", embedded(64, ""), 1},
        {"iommu", embedded(128, "iommu_device"), 2}}},
      {"", 8, {{"inner", integer(3, 5)}}},
      {"iommu_device", 8, {{"ops", {0, 64, MemberKind::kPointer, 0, "iommu_ops"}}}}};
  table.definitions = {0};
  return table.Encode();
}

// Tables in order, as few symbols as a kernel can have.
std::vector<std::byte> SearchSeed() {
  test::KallsymsBuilder tables;
  tables.order = test::KallsymsBuilder::Order::kAddressesFirst;
  tables.addresses = AddressForm::kBaseRelative;
  tables.symbols = {{'T', "_stext", 0xffffffff81000000},
                    {'D', "dmar_drhd_units", 0xffffffff82ffff40}};
  while (tables.symbols.size() <= 15 * test::KallsymsBuilder::kBlock) {
    tables.symbols.push_back({'t', "f", 0xffffffff81000010});
  }
  std::vector<std::byte> image(static_cast<size_t>(tables.end() - tables.at) / 4096 * 4096 + 4097);
  image[0] = std::byte{0x80};
  tables.Write([&](uint64_t at, std::span<const std::byte> bytes) {
    std::copy(bytes.begin(), bytes.end(),
              image.begin() + static_cast<ptrdiff_t>(at - tables.at) + 1);
  });
  return image;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  Write(folder + "/acpi_fuzz/sample", DmarSeed());
  Write(folder + "/btf_fuzz/sample", BtfSeed());
  Write(folder + "/debuginfo_fuzz/sample", DebuginfoSeed());
  Write(folder + "/kallsyms_fuzz/absolute", KallsymsSeed(AddressForm::kAbsolute));
  Write(folder + "/kallsyms_fuzz/absolute-per-cpu", KallsymsSeed(AddressForm::kAbsolutePerCpu));
  Write(folder + "/kallsyms_fuzz/base-relative", KallsymsSeed(AddressForm::kBaseRelative));
  Write(folder + "/kallsyms_fuzz/place-relative", KallsymsSeed(AddressForm::kPlaceRelative));
  Write(folder + "/kallsyms_fuzz/search", SearchSeed());
  Write(folder + "/vmcoreinfo_fuzz/sample",
        AsBytes("OSRELEASE=6.1.0\nSYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=-1\n"
                "SIZE(list_head)=16\nOFFSET(list_head.next)=0\nLENGTH(zone.free_area)=11\n"));
  // Of the kernel that the fuzzer puts beside the text, with its place and without.
  const std::string kernel =
      "OSRELEASE=6.1.0\nSYMBOL(init_top_pgt)=ffffffff81600000\nSYMBOL(_stext)=ffffffff81000000\n";
  Write(folder + "/vmcoreinfo_fuzz/kernel", AsBytes(kernel + "NUMBER(phys_base)=50331648\n"));
  Write(folder + "/vmcoreinfo_fuzz/no-phys-base", AsBytes(kernel));
}
