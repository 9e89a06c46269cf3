// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/acpi_dmar.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"

namespace dmaudit {
namespace {

// Layout: Intel VT-d specification, "BIOS Considerations".
constexpr size_t kLengthAt = 4;
constexpr size_t kStructuresAt = 48;
constexpr size_t kEntryHead = 6;

enum StructureType : uint16_t { kDrhd, kRmrr, kAtsr, kRhsa, kAndd, kSatc, kSidp };

struct Layout {
  uint16_t type;
  ScopeKind kind;
  size_t scopes_at;  // offset of the device scopes, and so the least length
};
constexpr Layout kLayouts[] = {{kDrhd, ScopeKind::kUnit, 16},
                               {kRmrr, ScopeKind::kReservedMemory, 24},
                               {kAtsr, ScopeKind::kAtsRoot, 8},
                               {kSatc, ScopeKind::kAtsDevices, 8}};

std::string NameOf(uint16_t type) {
  switch (type) {
    case kDrhd:
      return "DRHD";
    case kRmrr:
      return "RMRR";
    case kAtsr:
      return "ATSR";
    case kRhsa:
      return "RHSA";
    case kAndd:
      return "ANDD";
    case kSatc:
      return "SATC";
    case kSidp:
      return "SIDP";
  }
  return fmt::format("structure of type {}", type);
}

class TableParser {
 public:
  explicit TableParser(std::span<const std::byte> table) : table_(table) {}

  Result<AcpiDmar> Parse() {
    if (table_.size() > kMaxAcpiTable) {
      return Fail(ErrorCode::kLimit, "{} bytes are more than a DMAR table has", table_.size());
    }
    if (!AsText(table_).starts_with("DMAR")) {
      return Fail(ErrorCode::kUnrecognised, "no ACPI table with the signature DMAR");
    }
    if (AsText(table_).starts_with("DMAR @ 0x")) {
      return Fail(ErrorCode::kUnrecognised,
                  "acpidump's text: `acpidump -b` writes the table itself");
    }
    if (table_.size() < kStructuresAt) {
      return Fail(ErrorCode::kMalformed, "a DMAR table has at least {} bytes, this one {}",
                  kStructuresAt, table_.size());
    }
    CheckFrame();
    size_t at = kStructuresAt;
    while (at < table_.size()) {
      const std::optional<size_t> next = ParseStructure(at);
      if (!next) break;
      at = *next;
    }
    if (left_out_ != 0) out_.problems.push_back(fmt::format("{} more problems", left_out_));
    return std::move(out_);
  }

 private:
  void Problem(std::string text) {
    if (out_.problems.size() < kMaxAcpiProblems) {
      out_.problems.push_back(std::move(text));
    } else {
      ++left_out_;
    }
  }

  // Length and checksum; `table_` is then what belongs to the table.
  void CheckFrame() {
    const auto length = LoadUnchecked<uint32_t>(table_, kLengthAt);
    if (length < kStructuresAt || length > table_.size()) {
      Problem(fmt::format("its header says {} bytes, the file has {}", length, table_.size()));
      return;
    }
    if (length < table_.size()) {
      Problem(fmt::format("{} bytes follow the table", table_.size() - length));
    }
    table_ = table_.first(length);
    uint8_t sum = 0;
    for (const std::byte byte : table_)
      sum = static_cast<uint8_t>(sum + std::to_integer<int>(byte));
    if (sum != 0) Problem(fmt::format("its checksum is wrong: the bytes add up to {:#x}", sum));
  }

  // Offset of the next structure; nothing where that cannot be told.
  std::optional<size_t> ParseStructure(size_t at) {
    const std::optional<uint16_t> type = Load<uint16_t>(table_, at);
    const std::optional<uint16_t> length = Load<uint16_t>(table_, at + 2);
    if (!type || !length) {
      Problem(fmt::format("{} bytes at {:#x} are too few for a structure", table_.size() - at, at));
      return std::nullopt;
    }
    const std::string name = fmt::format("{} @ {:#x}", NameOf(*type), at);
    if (*length < 4 || *length > table_.size() - at) {
      Problem(fmt::format("{} has a length of {}, {} bytes are left: what follows is not read",
                          name, *length, table_.size() - at));
      return std::nullopt;
    }
    const std::span<const std::byte> body = table_.subspan(at, *length);
    const auto* const layout =
        std::find_if(std::begin(kLayouts), std::end(kLayouts),
                     [&type](const Layout& candidate) { return candidate.type == *type; });
    if (layout == std::end(kLayouts)) {
      Skip(name);
    } else if (body.size() < layout->scopes_at) {
      Problem(fmt::format("{} has {} bytes, at least {} are needed", name, body.size(),
                          layout->scopes_at));
    } else if (out_.scopes.size() == kMaxScopes) {
      Problem(fmt::format("{} is one structure too many", name));
    } else {
      ParseScope(*layout, at, name, body);
    }
    return at + *length;
  }

  void Skip(const std::string& name) {
    if (out_.skipped.size() < kMaxScopes) out_.skipped.push_back(name);
  }

  void ParseScope(const Layout& layout, size_t at, const std::string& name,
                  std::span<const std::byte> body) {
    AcpiScope scope;
    scope.kind = layout.kind;
    scope.offset = at;
    scope.segment = LoadUnchecked<uint16_t>(body, 6);
    if (layout.kind == ScopeKind::kReservedMemory) {
      const auto first = LoadUnchecked<uint64_t>(body, 8);
      const auto last = LoadUnchecked<uint64_t>(body, 16);
      if (last < first) {
        Problem(fmt::format("{} ends at {:#x} before it begins at {:#x}", name, last, first));
        return;
      }
      scope.range = PhysRange{PhysAddr(first), PhysAddr(last)};
    } else {
      scope.flag = (LoadUnchecked<uint8_t>(body, 4) & 1) != 0;
    }
    if (layout.kind == ScopeKind::kUnit) {
      const auto registers = LoadUnchecked<uint64_t>(body, 8);
      // Firmware that leaves a unit out of order writes such addresses; the kernel ignores it too.
      if (registers == 0 || registers == UINT64_MAX) {
        return Problem(fmt::format("{} has its registers at {:#x}", name, registers));
      }
      scope.registers = PhysAddr(registers);
    }
    ParseEntries(name, body.subspan(layout.scopes_at), scope);
    out_.scopes.push_back(std::move(scope));
  }

  void ParseEntries(const std::string& name, std::span<const std::byte> bytes, AcpiScope& scope) {
    const auto damaged = [&](const std::string& what) {
      scope.whole = false;
      Problem(fmt::format("{}: {}", name, what));
    };
    while (!bytes.empty()) {
      const size_t length = bytes.size() < kEntryHead ? 0 : LoadUnchecked<uint8_t>(bytes, 1);
      if (length < kEntryHead + 2 || length % 2 != 0 || length > bytes.size()) {
        return damaged(
            fmt::format("a device scope of {} bytes in {} that are left", length, bytes.size()));
      }
      if (++entries_ > kMaxScopeDevices) return damaged("too many device scopes");
      const auto type = LoadUnchecked<uint8_t>(bytes, 0);
      if (type < 1 || type > 5) {
        damaged(fmt::format("a device scope of type {} is not known", type));
      } else {
        AcpiScopeEntry entry;
        entry.type = static_cast<AcpiScopeEntry::Type>(type);
        entry.start_bus = LoadUnchecked<uint8_t>(bytes, 5);
        ParsePath(bytes.subspan(kEntryHead, length - kEntryHead), entry, damaged);
        if (!entry.path.empty()) scope.entries.push_back(std::move(entry));
      }
      bytes = bytes.subspan(length);
    }
  }

  template <typename Damaged>
  static void ParsePath(std::span<const std::byte> pairs, AcpiScopeEntry& entry,
                        const Damaged& damaged) {
    for (size_t i = 0; i < pairs.size(); i += 2) {
      const auto device = LoadUnchecked<uint8_t>(pairs, i);
      const auto function = LoadUnchecked<uint8_t>(pairs, i + 1);
      if (device > 31 || function > 7) {
        entry.path.clear();
        return damaged(fmt::format("a path goes to device {} function {}", device, function));
      }
      entry.path.push_back(static_cast<uint8_t>(device << 3 | function));
    }
  }

  std::span<const std::byte> table_;
  AcpiDmar out_;
  size_t left_out_ = 0;
  uint64_t entries_ = 0;
};

}  // namespace

Result<AcpiDmar> ParseAcpiDmar(std::span<const std::byte> table) {
  return TableParser(table).Parse();
}

}  // namespace dmaudit
