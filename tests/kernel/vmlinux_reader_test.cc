// SPDX-License-Identifier: GPL-2.0-or-later
// Reading ELF files with DWARF as compilers and distributions make them, and damaged ones.
#include "kernel/vmlinux_reader.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "kernel/dwarf_types.h"
#include "kernel/lookalike.h"
#include "support/temp_dir.h"

namespace dmaudit {
namespace {

constexpr std::array<std::string_view, 5> kStructures = {
    "intel_iommu", "dmar_drhd_unit", "iommu_device", "either", "no_such_struct"};
constexpr std::array<std::string_view, 3> kSymbols = {"dmar_drhd_units", "_stext",
                                                      "no_such_symbol"};

constexpr std::string_view kSource = R"(
#include "kernel/lookalike.h"
extern "C" {
struct list_head dmar_drhd_units;
intel_iommu* units[4];
union either both;
// clang describes in full only what there is one of.
intel_iommu unit{};
iommu_device device{};
dmar_drhd_unit drhd{};
// Names that end in others: the linker keeps one string for both.
struct not_intel_iommu { int a; } not_iommu;
union neither { int a; } none;
extern struct forward* only_declared;
struct forward* only_declared;
static const char banner[] = "Linux version 1";
const char* linux_banner = banner;
int dmar_table_init(dmar_drhd_unit* unit) { return unit->ignored; }
int _stext() { return dmar_table_init(nullptr); }
int main() { return 0; }
}
)";

bool Run(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

class Compiled {
 public:
  explicit Compiled(std::string_view flags) : path((folder.path() / "vmlinux").string()) {
    const std::string source = (folder.path() / "source.cc").string();
    std::ofstream(source) << kSource;
    built =
        Run(fmt::format("{} {} -std=c++20 -w -fno-sanitize=all -I{} -Wl,--build-id=sha1 -o {} {}",
                        DMAUDIT_CXX, flags, DMAUDIT_TEST_SOURCES, path, source));
  }
  std::string Sibling(const char* name) const { return (folder.path() / name).string(); }

  test::TempDir folder;
  std::string path;
  bool built = false;
};

Result<DebuginfoTable> Read(const std::string& path, const std::string& supplement = {}) {
  return ReadVmlinux(path, kSymbols, kStructures, supplement);
}

void CheckMember(const DwarfTypes& types, std::string_view type, std::string_view path,
                 const MemberLayout& expected) {
  CAPTURE(std::string(path));
  const Result<MemberLayout> layout = types.Member(type, path);
  REQUIRE_MESSAGE(layout, (layout ? "" : layout.error().message));
  CHECK(layout->bit_offset == expected.bit_offset);
  CHECK(layout->bit_size == expected.bit_size);
  CHECK(layout->kind == expected.kind);
  CHECK(layout->elements == expected.elements);
  CHECK(layout->struct_name == expected.struct_name);
}

#define AT(member) (offsetof(intel_iommu, member) * 8)

void CheckAll(const DebuginfoTable& table) {
  CHECK_MESSAGE(table.no_symbols.empty(), table.no_symbols);
  CHECK_MESSAGE(table.no_types.empty(), table.no_types);
  CHECK(table.build_id.size() == 40);
  CHECK(table.symbols.size() == 2);
  const DwarfTypes types(table, "DWARF (test)");
  using enum MemberKind;
  const std::string iommu = "intel_iommu";
  CheckMember(types, iommu, "reg", {0, 64, kPointer, 0, ""});
  CheckMember(types, iommu, "cap", {AT(cap), 64, kInteger, 0, ""});
  CheckMember(types, iommu, "gcmd", {AT(gcmd), 32, kInteger, 0, ""});
  CheckMember(types, iommu, "name", {AT(name), 13 * 8, kInteger, 13, ""});
  CheckMember(types, iommu, "grid", {AT(grid), 12 * 64, kInteger, 12, ""});
  CheckMember(types, iommu, "inner", {AT(inner), 16, kInteger, 0, ""});
  CheckMember(types, iommu, "as_word", {AT(as_word), 32, kInteger, 0, ""});
  CheckMember(types, iommu, "as_real", {AT(as_real), 32, kOther, 0, ""});
  CheckMember(types, iommu, "users.counter", {AT(users), 32, kInteger, 0, ""});
  CheckMember(types, iommu, "irq", {AT(irq), 32, kInteger, 0, ""});
  CheckMember(types, iommu, "set", {AT(set), 8, kInteger, 0, ""});
  CheckMember(types, iommu, "iommu",
              {AT(iommu), sizeof(iommu_device) * 8, kStruct, 0, "iommu_device"});
  CheckMember(types, iommu, "iommu.ops", {AT(iommu.ops), 64, kPointer, 0, "iommu_ops"});
  CheckMember(types, iommu, "iommu.list.prev", {AT(iommu.list.prev), 64, kPointer, 0, "list_head"});
  CheckMember(types, iommu, "spare",
              {AT(spare), sizeof(iommu_device) * 16, kStruct, 2, "iommu_device"});
  CheckMember(types, iommu, "copied_tables", {AT(copied_tables), 64, kPointer, 0, ""});
  CheckMember(types, iommu, "flush", {AT(flush), 64, kPointer, 0, ""});
  CHECK(*types.SizeOf(iommu) == sizeof(intel_iommu));

  const std::string drhd = "dmar_drhd_unit";
  const uint64_t segment = offsetof(dmar_drhd_unit, segment) * 8;
  CheckMember(types, drhd, "segment", {segment, 16, kInteger, 0, ""});
  CheckMember(types, drhd, "ignored", {segment + 16, 1, kInteger, 0, ""});
  CheckMember(types, drhd, "include_all", {segment + 17, 1, kInteger, 0, ""});
  CheckMember(types, drhd, "iommu",
              {offsetof(dmar_drhd_unit, iommu) * 8, 64, kPointer, 0, "intel_iommu"});
  // Where the compiler put a wide bit field, a value tells.
  dmar_drhd_unit unit{};
  unit.wide = 1;
  const auto bytes = std::as_bytes(std::span(&unit, 1));
  uint64_t bit = 0;
  while ((static_cast<unsigned>(bytes[bit / 8]) >> bit % 8 & 1) == 0) ++bit;
  CheckMember(types, drhd, "wide", {bit, 21, kInteger, 0, ""});

  CheckMember(types, "either", "half.high", {32, 32, kInteger, 0, ""});
  CHECK(*types.SizeOf("list_head") == 16);
  for (const auto& [type, path] : {std::pair("intel_iommu", "nothing"),
                                   {"no_such_struct", "a"},
                                   {"intel_iommu", "cap.low"},
                                   {"intel_iommu", "spare.ops"},
                                   {"intel_iommu", ""},
                                   {"intel_iommu", "iommu."}}) {
    const Result<MemberLayout> none = types.Member(type, path);
    REQUIRE_FALSE(none);
    CHECK(none.error().code == ErrorCode::kNotFound);
  }
}

#undef AT

TEST_CASE("every version of DWARF that compilers write, plain and compressed") {
  if (DebuginfoSupport() == "none") return;
  for (const std::string_view flags :
       {"-gdwarf-2 -gstrict-dwarf", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5",
        "-gdwarf-4 -fdebug-types-section", "-gdwarf-5 -Os -no-pie"}) {
    // By objcopy: not every compiler writes the old way, in sections named .zdebug.
    for (const std::string_view compressed : {"", "zlib", "zlib-gnu"}) {
      CAPTURE(std::string(flags));
      CAPTURE(std::string(compressed));
      const Compiled compiled(flags);
      REQUIRE(compiled.built);
      if (!compressed.empty()) {
        REQUIRE(
            Run(fmt::format("objcopy --compress-debug-sections={} {}", compressed, compiled.path)));
      }
      const Result<DebuginfoTable> table = Read(compiled.path);
      REQUIRE_MESSAGE(table, (table ? "" : table.error().message));
      CheckAll(*table);
    }
  }
}

TEST_CASE("sections compressed with zstd are read, damaged ones named") {
  if (DebuginfoSupport() == "none") return;
  const Compiled compiled("-gdwarf-5");
  const std::string packed = compiled.Sibling("packed");
  if (!Run(fmt::format("objcopy --compress-debug-sections=zstd {} {}", compiled.path, packed))) {
    MESSAGE("binutils without zstd: not tested");
    return;
  }
  const Result<DebuginfoTable> table = Read(packed);
  REQUIRE_MESSAGE(table, (table ? "" : table.error().message));
  CheckAll(*table);

  std::string bytes;
  {
    std::ifstream in(packed, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  // The header of the largest compressed section: method 2, a size, then the frame.
  const std::string frame_magic("\x28\xb5\x2f\xfd", 4);
  size_t header = 0, largest = 0;
  for (size_t at = bytes.find(frame_magic); at != std::string::npos;
       at = bytes.find(frame_magic, at + 1)) {
    uint64_t size = 0;
    if (at < 24) continue;
    std::memcpy(&size, &bytes[at - 16], sizeof(size));
    if (bytes[at - 24] == 2 && size > largest && size < (1U << 30)) {
      header = at - 24;
      largest = size;
    }
  }
  REQUIRE(largest != 0);
  const auto reason = [&](size_t offset, char value) {
    std::string damaged = bytes;
    damaged[header + offset] = value;
    std::ofstream(packed, std::ios::binary) << damaged;
    const Result<DebuginfoTable> read = Read(packed);
    REQUIRE_MESSAGE(read, (read ? "" : read.error().message));
    CHECK(read->symbols.size() == 2);
    return read->no_types;
  };
  CHECK(reason(0, 3).find("compressed with method 3") != std::string::npos);
  CHECK(reason(15, 0x7f).find("no zstd frame of") != std::string::npos);
  CHECK(reason(24, 0).find("no zstd frame of") != std::string::npos);
  CHECK(reason(24 + 40, static_cast<char>(~bytes[header + 24 + 40])).find("zstd: ") !=
        std::string::npos);
}

TEST_CASE("a debug file split off, alone and found by its link") {
  if (DebuginfoSupport() == "none") return;
  const Compiled compiled("-gdwarf-5");
  const std::string debug = compiled.Sibling("vmlinux.debug");
  const std::string& main = compiled.path;
  REQUIRE(Run(fmt::format("objcopy --only-keep-debug {} {}", main, debug)));
  REQUIRE(Run(fmt::format("cd {} && objcopy --strip-all --add-gnu-debuglink=vmlinux.debug {}",
                          compiled.folder.path().string(), main)));
  const Result<DebuginfoTable> alone = Read(debug);
  REQUIRE(alone);
  CheckAll(*alone);
  CHECK(alone->types_file.empty());
  const Result<DebuginfoTable> linked = Read(main);
  REQUIRE(linked);
  CheckAll(*linked);
  CHECK(linked->types_file == debug);

  // One of another build is not taken.
  const Compiled other("-gdwarf-4 -O2");
  REQUIRE(Run(fmt::format("objcopy --only-keep-debug {} {}", other.path, debug)));
  const Result<DebuginfoTable> refused = Read(main);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("another build id") != std::string::npos);
}

TEST_CASE("a file that dwz shared entries out of needs the file they went to") {
  if (DebuginfoSupport() == "none") return;
  if (!Run("command -v dwz")) {
    MESSAGE("no dwz: not tested");
    return;
  }
  const Compiled one("-gdwarf-4"), two("-gdwarf-4 -O1");
  const std::string common = one.Sibling("common.debug");
  REQUIRE(Run(
      fmt::format("cd {} && cp {} other && dwz -L none -l none -m common.debug -r vmlinux other",
                  one.folder.path().string(), two.path)));
  REQUIRE(std::filesystem::exists(common));
  const Result<DebuginfoTable> table = Read(one.path);
  REQUIRE_MESSAGE(table, (table ? "" : table.error().message));
  CheckAll(*table);
  // As below .build-id: the link to the other file starts where the file itself is.
  const test::TempDir elsewhere;
  const std::string link = (elsewhere.path() / "link.debug").string();
  std::filesystem::create_symlink(one.path, link);
  const Result<DebuginfoTable> by_link = Read(link);
  REQUIRE_MESSAGE(by_link, (by_link ? "" : by_link.error().message));
  CHECK(by_link->no_types == "");
  CheckAll(*by_link);
  CHECK(by_link->supplement == "");
  const std::string moved = (elsewhere.path() / "moved").string();
  std::filesystem::copy_file(common, moved);
  std::filesystem::remove(common);
  const Result<DebuginfoTable> lost = Read(one.path);
  REQUIRE(lost);
  CHECK(lost->symbols.size() == 2);
  CHECK(lost->no_types.find("supplementary file") != std::string::npos);
  CHECK(lost->supplement.size() == 40);
  // Found elsewhere and given; another file is not taken.
  const Result<DebuginfoTable> given = Read(one.path, moved);
  REQUIRE_MESSAGE(given, (given ? "" : given.error().message));
  CheckAll(*given);
  const Result<DebuginfoTable> other = Read(one.path, two.path);
  REQUIRE(other);
  CHECK(other->supplement == lost->supplement);
}

TEST_CASE("symbols without types, types without symbols, neither") {
  if (DebuginfoSupport() == "none") return;
  const Compiled compiled("-gdwarf-5");
  const std::string copy = compiled.Sibling("copy");
  REQUIRE(Run(fmt::format("objcopy --strip-debug {} {}", compiled.path, copy)));
  Result<DebuginfoTable> table = Read(copy);
  REQUIRE(table);
  CHECK(table->symbols.size() == 2);
  CHECK(table->definitions.empty());
  CHECK(table->no_types.find("has no DWARF") != std::string::npos);
  REQUIRE(Run(fmt::format("strip {}", copy)));
  table = Read(copy);
  REQUIRE_FALSE(table);
  CHECK(table.error().message.find("no symbol table") != std::string::npos);
}

TEST_CASE("what is no vmlinux is an error") {
  if (DebuginfoSupport() == "none") return;
  const test::TempDir folder;
  const std::string path = (folder.path() / "file").string();
  CHECK_FALSE(Read(path));
  CHECK_FALSE(Read(folder.path().string()));
  for (const std::string_view text : {"", "\x7f",
                                      "\x7f"
                                      "ELF",
                                      "KDUMP   "}) {
    std::ofstream(path) << text;
    const Result<DebuginfoTable> table = Read(path);
    REQUIRE_FALSE(table);
    CHECK(table.error().message.find(path) != std::string::npos);
  }
}

// Whatever a damaged file does to the libraries, the caller gets a table or an error.
TEST_CASE("cut and changed files end in a table or an error") {
  if (DebuginfoSupport() == "none") return;
  const Compiled compiled("-gdwarf-5");
  std::ifstream stream(compiled.path, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(stream), {}};
  REQUIRE(whole.size() > 4096);
  const std::string path = compiled.Sibling("damaged");
  uint64_t state = 12345;
  const auto next = [&state] { return state = state * 6364136223846793005 + 1442695040888963407; };
  for (int i = 0; i < 60; ++i) {
    std::string bytes = whole;
    if (i % 3 == 0) {
      bytes.resize(bytes.size() * static_cast<size_t>(i + 1) / 62);
    } else {
      // Half of the changes hit the debug sections, which lie in the second half of the file.
      for (int k = 0; k < 40; ++k) {
        const size_t at = static_cast<size_t>(next() >> 16) % bytes.size();
        bytes[i % 3 == 1 ? at : bytes.size() / 2 + at / 2] = static_cast<char>(next() >> 40);
      }
    }
    std::ofstream(path, std::ios::binary) << bytes;
    const Result<DebuginfoTable> table = Read(path);
    if (!table) {
      CHECK_FALSE(table.error().message.empty());
    } else {
      const DwarfTypes types(*table, "test");
      (void)types.Member("intel_iommu", "iommu.ops");
    }
  }
}

}  // namespace
}  // namespace dmaudit
