// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/libdw/dwarf_layouts.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/number.h"
#include "kernel/libdw/zstd_sections.h"

namespace dmaudit {
namespace {

// Typedefs and qualifiers in a row; the kernel's types have a few.
constexpr unsigned kMaxChain = 32;
// Partial units in partial units, as dwz makes them.
constexpr unsigned kMaxImports = 8;
// gcc puts names that are shorter than a reference to them into the entries themselves.
constexpr size_t kShortestShared = 4;
// Of the units that were looked through, so much stays in memory.
constexpr ptrdiff_t kScannedMemory = ptrdiff_t{8} << 20;

struct DwarfEnd {
  void operator()(Dwarf* dwarf) const { (void)dwarf_end(dwarf); }
};
using DwarfHandle = std::unique_ptr<Dwarf, DwarfEnd>;

std::optional<uint64_t> Unsigned(Dwarf_Die* die, unsigned attribute) {
  Dwarf_Attribute value{};
  Dwarf_Word word = 0;
  if (dwarf_attr(die, attribute, &value) == nullptr || dwarf_formudata(&value, &word) != 0) {
    return std::nullopt;
  }
  return word;
}

std::string Name(Dwarf_Die* die) {
  const char* name = dwarf_diename(die);
  return name == nullptr ? std::string() : std::string(name).substr(0, DebuginfoTable::kMaxText);
}

bool IsComposite(Dwarf_Die* die) {
  const int tag = dwarf_tag(die);
  return tag == DW_TAG_structure_type || tag == DW_TAG_union_type;
}

// A structure or enumeration that has a unit of its own (DWARF 4 and 5 type units) is only
// mentioned elsewhere.
Dwarf_Die WholeType(Dwarf_Die type) {
  Dwarf_Attribute signature{};
  Dwarf_Die whole{};
  if ((IsComposite(&type) || dwarf_tag(&type) == DW_TAG_enumeration_type) &&
      dwarf_attr(&type, DW_AT_signature, &signature) != nullptr &&
      dwarf_formref_die(&signature, &whole) != nullptr) {
    return whole;
  }
  return type;
}

// The type behind an attribute DW_AT_type, through typedefs and qualifiers.
std::optional<Dwarf_Die> TypeOf(Dwarf_Die* die) {
  Dwarf_Die at = *die;
  for (unsigned i = 0; i < kMaxChain; ++i) {
    Dwarf_Attribute attribute{};
    Dwarf_Die next{};
    if (dwarf_attr(&at, DW_AT_type, &attribute) == nullptr ||
        dwarf_formref_die(&attribute, &next) == nullptr) {
      return std::nullopt;
    }
    switch (dwarf_tag(&next)) {
      case DW_TAG_typedef:
      case DW_TAG_const_type:
      case DW_TAG_volatile_type:
      case DW_TAG_restrict_type:
      case DW_TAG_atomic_type:
        at = next;
        break;
      default:
        return WholeType(next);
    }
  }
  return std::nullopt;
}

// Elements of an array, all dimensions together; nothing when the numbers make no sense.
std::optional<uint64_t> Elements(Dwarf_Die* array) {
  uint64_t elements = 1;
  Dwarf_Die range{};
  if (dwarf_child(array, &range) != 0) return 0;
  do {
    if (dwarf_tag(&range) != DW_TAG_subrange_type) continue;
    uint64_t count = 0;  // a flexible array
    if (const auto given = Unsigned(&range, DW_AT_count)) {
      count = *given;
    } else if (const auto last = Unsigned(&range, DW_AT_upper_bound)) {
      // gcc writes -1 for an array of no elements.
      count = *last + 1 > INT32_MAX ? 0 : *last + 1;
    }
    const auto product = CheckedMul(elements, count);
    if (!product) return std::nullopt;
    elements = *product;
  } while (dwarf_siblingof(&range, &range) == 0);
  return elements;
}

// Byte offset of a member in its structure.
uint64_t MemberByte(Dwarf_Die* member) {
  if (const auto constant = Unsigned(member, DW_AT_data_member_location)) return *constant;
  // DWARF 2 and 3: an expression, DW_OP_plus_uconst in all that compilers write.
  Dwarf_Attribute attribute{};
  Dwarf_Op* operations = nullptr;
  size_t count = 0;
  if (dwarf_attr(member, DW_AT_data_member_location, &attribute) != nullptr &&
      dwarf_getlocation(&attribute, &operations, &count) == 0 && count == 1 &&
      operations[0].atom == DW_OP_plus_uconst) {
    return operations[0].number;
  }
  return 0;
}

class LayoutReader {
 public:
  LayoutReader(std::span<const std::string_view> wanted, DebuginfoTable& table)
      : wanted_(wanted.begin(), wanted.end()), table_(table) {}

  bool done() const { return wanted_.empty(); }
  const std::set<std::string, std::less<>>& missing() const { return wanted_; }
  void GiveUp(const std::string& name) { wanted_.erase(name); }

  // Looks at what a unit defines at its top level, and at the units it imports.
  void ScanUnit(Dwarf_Die* unit, unsigned imports = 0) {
    if (!seen_units_.insert(unit->addr).second) return;
    Dwarf_Die child{};
    if (done() || dwarf_child(unit, &child) != 0) return;
    do {
      const int tag = dwarf_tag(&child);
      if (tag == DW_TAG_imported_unit && imports < kMaxImports) {
        Dwarf_Attribute attribute{};
        Dwarf_Die imported{};
        if (dwarf_attr(&child, DW_AT_import, &attribute) != nullptr &&
            dwarf_formref_die(&attribute, &imported) != nullptr) {
          ScanUnit(&imported, imports + 1);
        }
      } else if (tag == DW_TAG_structure_type || tag == DW_TAG_union_type) {
        const char* name = dwarf_diename(&child);
        if (name == nullptr) continue;
        const auto it = wanted_.find(std::string_view(name));
        if (it == wanted_.end() || dwarf_hasattr(&child, DW_AT_declaration) != 0) continue;
        Define(&child);
        wanted_.erase(it);
      }
    } while (!done() && dwarf_siblingof(&child, &child) == 0);
  }

  // `file` is the one that `dwarf` reads.
  void ScanAll(Dwarf* dwarf, const ElfFile& file) {
    Dwarf_CU* unit = nullptr;
    Dwarf_Half version = 0;
    uint8_t type = 0;
    Dwarf_Die die{};
    const char* kept = nullptr;
    while (!done() && dwarf_get_units(dwarf, unit, &unit, &version, &type, &die, nullptr) == 0) {
      ScanUnit(&die);
      // Units come in the order of the section, which is hundreds of megabytes long.
      const char* at = static_cast<const char*>(die.addr);
      if (kept == nullptr || at < kept) kept = at;
      if (at - kept < kScannedMemory) continue;
      file.GiveBack(kept, at);
      kept = at;
    }
  }

 private:
  void Define(Dwarf_Die* die) {
    const uint32_t index = Composite(die);
    if (index != DebuginfoMember::kNone) table_.definitions.push_back(index);
    while (!pending_.empty()) {
      auto [next, composite] = pending_.back();
      pending_.pop_back();
      ReadMembers(&next, composite);
    }
  }

  // The index of a structure, whose members are read later.
  uint32_t Composite(Dwarf_Die* die) {
    const auto [known, fresh] = composites_.try_emplace(die->addr, DebuginfoMember::kNone);
    if (!fresh) return known->second;
    if (table_.composites.size() == DebuginfoTable::kMaxComposites) return DebuginfoMember::kNone;
    known->second = static_cast<uint32_t>(table_.composites.size());
    DebuginfoComposite& composite = table_.composites.emplace_back();
    composite.name = Name(die);
    composite.size = Unsigned(die, DW_AT_byte_size).value_or(0);
    pending_.emplace_back(*die, known->second);
    return known->second;
  }

  void ReadMembers(Dwarf_Die* die, uint32_t composite) {
    Dwarf_Die child{};
    if (dwarf_child(die, &child) != 0) return;
    do {
      if (dwarf_tag(&child) != DW_TAG_member) continue;
      if (members_ == DebuginfoTable::kMaxMembers) return;
      std::optional<DebuginfoMember> member = ReadMember(&child);
      if (!member) continue;
      ++members_;
      table_.composites[composite].members.push_back(*std::move(member));
    } while (dwarf_siblingof(&child, &child) == 0);
  }

  std::optional<DebuginfoMember> ReadMember(Dwarf_Die* die) {
    DebuginfoMember member;
    member.name = Name(die);
    MemberLayout& layout = member.layout;
    std::optional<Dwarf_Die> type = TypeOf(die);
    if (!type) return std::nullopt;
    uint64_t elements = 1;
    bool array = false;
    for (unsigned i = 0; i < kMaxChain && dwarf_tag(&*type) == DW_TAG_array_type; ++i) {
      array = true;
      const auto count = Elements(&*type);
      const auto product = count ? CheckedMul(elements, *count) : std::nullopt;
      if (!product) return std::nullopt;
      elements = *product;
      type = TypeOf(&*type);
      if (!type) return std::nullopt;
    }
    const uint64_t bytes = Describe(&*type, member);
    if (array) layout.elements = elements;
    const auto bits = CheckedMul(bytes, 8);
    const auto all = bits ? CheckedMul(*bits, elements) : std::nullopt;
    const auto place = CheckedMul(MemberByte(die), 8);
    if (!all || !place) return std::nullopt;
    layout.bit_size = *all;
    layout.bit_offset = *place;
    if (const auto size = Unsigned(die, DW_AT_bit_size)) PlaceBits(die, *size, bytes, layout);
    return member;
  }

  // Fills in the kind, and gives the size in bytes, of one element.
  uint64_t Describe(Dwarf_Die* type, DebuginfoMember& member) {
    MemberLayout& layout = member.layout;
    uint64_t bytes = Unsigned(type, DW_AT_byte_size).value_or(0);
    switch (dwarf_tag(type)) {
      case DW_TAG_base_type: {
        const uint64_t encoding = Unsigned(type, DW_AT_encoding).value_or(0);
        layout.kind = encoding == DW_ATE_float || encoding == DW_ATE_complex_float
                          ? MemberKind::kOther
                          : MemberKind::kInteger;
        break;
      }
      case DW_TAG_enumeration_type:
        layout.kind = MemberKind::kInteger;
        break;
      case DW_TAG_pointer_type: {
        layout.kind = MemberKind::kPointer;
        bytes = 8;
        std::optional<Dwarf_Die> target = TypeOf(type);
        if (target && IsComposite(&*target)) layout.struct_name = Name(&*target);
        break;
      }
      case DW_TAG_structure_type:
      case DW_TAG_union_type:
        layout.kind = MemberKind::kStruct;
        layout.struct_name = Name(type);
        member.composite = Composite(type);
        break;
      default:
        layout.kind = MemberKind::kOther;
        break;
    }
    return bytes;
  }

  static void PlaceBits(Dwarf_Die* die, uint64_t size, uint64_t type_bytes, MemberLayout& layout) {
    layout.bit_size = size;
    if (const auto from_start = Unsigned(die, DW_AT_data_bit_offset)) {
      layout.bit_offset = *from_start;
      return;
    }
    // Up to DWARF 3: counted from the most significant bit of the storage unit.
    Dwarf_Attribute attribute{};
    Dwarf_Sword from_top = 0;
    if (dwarf_attr(die, DW_AT_bit_offset, &attribute) == nullptr ||
        dwarf_formsdata(&attribute, &from_top) != 0) {
      return;
    }
    const uint64_t storage = Unsigned(die, DW_AT_byte_size).value_or(type_bytes) * 8;
    // Modulo 2^64, as the distances are.
    layout.bit_offset += storage - static_cast<uint64_t>(from_top) - size;
  }

  std::set<std::string, std::less<>> wanted_;
  DebuginfoTable& table_;
  std::set<void*> seen_units_;
  std::map<void*, uint32_t> composites_;  // by entry
  std::vector<std::pair<Dwarf_Die, uint32_t>> pending_;
  size_t members_ = 0;
};

// The supplementary file that dwz moved common entries into. Outlives `dwarf`, which refers to it.
struct Supplement {
  std::optional<ElfFile> file;
  InflatedSections inflated;
  DwarfHandle dwarf;
};

// `given`: where to look first. `missing`: its build id, where it is needed and not found.
Status AttachSupplement(const ElfFile& file, Dwarf* dwarf, const std::string& given,
                        Supplement& supplement, std::string& missing) {
  const char* name = nullptr;
  const void* id = nullptr;
  const ssize_t id_size = dwelf_dwarf_gnu_debugaltlink(dwarf, &name, &id);
  if (id_size <= 0 || name == nullptr) return {};
  std::string build_id;
  for (ssize_t i = 0; i < id_size && i < 64; ++i) {
    build_id += fmt::format("{:02x}", static_cast<const unsigned char*>(id)[i]);
  }
  const std::string link = name;
  std::vector<std::string> places;
  if (link.starts_with('/')) {
    places.push_back(link);
  } else {
    for (const std::string& folder : FoldersOf(file.path())) {
      places.push_back(fmt::format("{}/{}", folder, link));
    }
  }
  const std::string beside = places.front();
  places.push_back(BuildIdPath(build_id));
  if (!given.empty()) places.insert(places.begin(), given);
  std::string failure = "no such file";
  for (const std::string& path : places) {
    Result<ElfFile> opened = ElfFile::Open(path);
    if (!opened) continue;
    if (opened->BuildId() != build_id) {
      failure = fmt::format("{} has another build id", path);
      continue;
    }
    supplement.file.emplace(*std::move(opened));
    if (Status ready = InflateZstdSections(*supplement.file, supplement.inflated); !ready) {
      return ready;
    }
    supplement.dwarf.reset(dwarf_begin_elf(supplement.file->elf(), DWARF_C_READ, nullptr));
    if (!supplement.dwarf) {
      failure = fmt::format("{}: {}", path, dwarf_errmsg(-1));
      continue;
    }
    dwarf_setalt(dwarf, supplement.dwarf.get());
    return {};
  }
  missing = build_id;
  return Fail(ErrorCode::kNotFound, "{}: its supplementary file {} is needed: {}", file.path(),
              beside, failure);
}

}  // namespace

Status ReadLayouts(const ElfFile& file, std::span<const std::string_view> wanted,
                   std::span<const uint64_t> near, const std::string& supplement_path,
                   DebuginfoTable& table) {
  InflatedSections inflated;
  if (Status ready = InflateZstdSections(file, inflated); !ready) return ready;
  Supplement supplement;
  const DwarfHandle dwarf(dwarf_begin_elf(file.elf(), DWARF_C_READ, nullptr));
  if (!dwarf) return Fail(ErrorCode::kMalformed, "{}: {}", file.path(), dwarf_errmsg(-1));
  if (Status attached =
          AttachSupplement(file, dwarf.get(), supplement_path, supplement, table.supplement);
      !attached) {
    return attached;
  }

  LayoutReader reader(wanted, table);
  for (const uint64_t address : near) {
    Dwarf_Die unit{};
    if (!reader.done() && dwarf_addrdie(dwarf.get(), address, &unit) != nullptr) {
      reader.ScanUnit(&unit);
    }
  }
  // A name that no string is cannot be defined: not worth going through all units.
  const std::optional<std::string_view> strings = file.Section(".debug_str");
  if (strings && !supplement.dwarf) {
    const auto missing = reader.missing();
    for (const std::string& name : missing) {
      if (name.size() < kShortestShared) continue;
      // Linkers keep a name that ends another one as that one's tail.
      if (strings->find(name + '\0') == std::string_view::npos) {
        reader.GiveUp(name);
      }
    }
  }
  reader.ScanAll(dwarf.get(), file);
  if (supplement.dwarf) reader.ScanAll(supplement.dwarf.get(), *supplement.file);
  return {};
}

}  // namespace dmaudit
