// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kallsyms.h"

#include <doctest/doctest.h>

#include "support/fake_kernel.h"
#include "support/kallsyms_builder.h"

namespace dmaudit {
namespace {

using test::FakeKernel;
using test::KallsymsBuilder;

constexpr uint64_t kStext = 0xffffffff81000000;
constexpr uint64_t kUnits = 0xffffffff82ffff40;

struct Scene {
  Scene() {
    tables.symbols = {{'A', "fixed_percpu_data", 0},
                      {'T', "_stext", kStext},
                      {'t', "dmar_units_helper", kStext + 0x100},
                      {'D', "dmar_drhd_units", kUnits},
                      {'d', "twice", kStext + 0x200},
                      {'d', "twice", kStext + 0x300},
                      {'D', "init_uts_ns", kStext + 0x400}};
    extra = "SYMBOL(_stext)=ffffffff81000000\nSYMBOL(init_uts_ns)=ffffffff81000400\n";
  }
  Result<SymbolTable> Load(std::vector<std::string_view> wanted = {"dmar_drhd_units", "twice",
                                                                   "absent"}) {
    tables.Write(
        [&](uint64_t at, std::span<const std::byte> bytes) { kernel.Write(KernelVa(at), bytes); });
    if (after_write) after_write();
    DiagnosticSink sink;
    const auto info = Vmcoreinfo::Parse(tables.Vmcoreinfo() + extra, sink);
    return LoadKallsyms(*info, kernel, wanted);
  }

  FakeKernel kernel;
  KallsymsBuilder tables;
  std::string extra;
  std::function<void()> after_write;
};

TEST_CASE("every combination of encodings is told apart by _stext") {
  for (const LengthForm lengths : {LengthForm::kUleb128, LengthForm::kOneByte}) {
    for (const AddressForm addresses : {AddressForm::kAbsolute, AddressForm::kAbsolutePerCpu,
                                        AddressForm::kBaseRelative, AddressForm::kPlaceRelative}) {
      CAPTURE(static_cast<int>(lengths));
      CAPTURE(static_cast<int>(addresses));
      Scene scene;
      scene.tables.lengths = lengths;
      scene.tables.addresses = addresses;
      if (addresses == AddressForm::kBaseRelative || addresses == AddressForm::kPlaceRelative) {
        scene.tables.symbols.erase(scene.tables.symbols.begin());  // per-CPU absolute: not storable
      }
      // Long enough that its length needs the form: two bytes, or one with its top bit set.
      scene.tables.symbols.insert(scene.tables.symbols.begin(),
                                  {'t', std::string(130, 'x'), kStext + 0x500});
      const auto symbols = scene.Load();
      REQUIRE(symbols);
      CHECK(symbols->Find("dmar_drhd_units").value() == KernelVa(kUnits));
      CHECK(symbols->from() == "kallsyms (VMCOREINFO)");
    }
  }
}

TEST_CASE("a name that is there twice is ambiguous, one that is not there is missing") {
  Scene scene;
  const auto symbols = scene.Load();
  REQUIRE(symbols);
  CHECK(symbols->All("twice").size() == 2);
  CHECK_FALSE(symbols->Get("twice"));
  CHECK(symbols->Find("twice").error().message ==
        "symbol twice is ambiguous: 0xffffffff81000200 and 0xffffffff81000300");
  CHECK(symbols->Find("absent").error().message == "symbol absent not found");
  CHECK(symbols->Find("absent").error().code == ErrorCode::kNotFound);
}

TEST_CASE("more names than are kept of one stay bounded") {
  Scene scene;
  for (int i = 0; i < 100; ++i) scene.tables.symbols.push_back({'d', "twice", kStext + 0x1000});
  CHECK(scene.Load().value().All("twice").size() == SymbolTable::kMaxPerName);
}

TEST_CASE("a symbol whose address is not in the dump is there, and costs no other") {
  SymbolTable symbols("test");
  symbols.Add("here", KernelVa(kUnits));
  symbols.AddUnread("lost", {ErrorCode::kUnknown, "redacted"});
  CHECK(symbols.Has("here"));
  CHECK(symbols.Has("lost"));
  CHECK_FALSE(symbols.Has("absent"));
  CHECK(symbols.Get("here") == KernelVa(kUnits));
  CHECK_FALSE(symbols.Get("lost"));
  CHECK(symbols.Find("lost").error().code == ErrorCode::kUnknown);
  CHECK(symbols.Find("lost").error().message == "lost: redacted");
}

TEST_CASE("names that lie across pages are read") {
  Scene scene;
  for (int i = 0; i < 2000; ++i) {
    scene.tables.symbols.insert(scene.tables.symbols.begin(),
                                {'t', fmt::format("function_number_{}", i), kStext + 0x600});
  }
  CHECK(scene.Load().value().Find("dmar_drhd_units").value() == KernelVa(kUnits));
}

TEST_CASE("an address that contradicts VMCOREINFO is refused") {
  Scene stext;
  stext.extra = "SYMBOL(_stext)=ffffffff81000001\n";
  CHECK(stext.Load().error().code == ErrorCode::kMalformed);
  Scene other;
  other.extra = "SYMBOL(_stext)=ffffffff81000000\nSYMBOL(init_uts_ns)=ffffffff81000401\n";
  CHECK(other.Load().error().code == ErrorCode::kMalformed);
  Scene none;
  none.extra = "";
  CHECK(none.Load().error().code == ErrorCode::kNotFound);
}

TEST_CASE("VMCOREINFO without the tables is a kernel before 6.0") {
  FakeKernel kernel;
  DiagnosticSink sink;
  const auto info = Vmcoreinfo::Parse("SYMBOL(_stext)=ffffffff81000000\n", sink);
  CHECK(LoadKallsyms(*info, kernel, {}).error().code == ErrorCode::kNotFound);
}

TEST_CASE("the number of symbols at its limits") {
  for (const uint32_t count : {0u, 4'000'001u}) {
    Scene scene;
    scene.after_write = [&] { scene.kernel.WriteU32(KernelVa(scene.tables.num_syms_at()), count); };
    const auto symbols = scene.Load();
    REQUIRE_FALSE(symbols);
    CHECK(symbols.error().message.starts_with("kallsyms_num_syms is "));
  }
  // More than there are: the names end in memory that is not there.
  Scene lying;
  lying.after_write = [&] {
    lying.kernel.WriteU32(KernelVa(lying.tables.num_syms_at()), 4'000'000);
  };
  CHECK_FALSE(lying.Load());
}

TEST_CASE("a table that is not in the dump is named") {
  Scene names;
  names.after_write = [&] {
    names.kernel.memory().SetPageState(PhysAddr(names.tables.names_at()), ByteState::kExcluded);
  };
  const auto failed = names.Load();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == ErrorCode::kUnknown);
  CHECK(failed.error().message == "kallsyms_names: kernel address 0xffffffff82008000 is excluded");
}

TEST_CASE("a token without end is refused") {
  Scene scene;
  scene.after_write = [&] {
    scene.kernel.WriteText(KernelVa(scene.tables.token_table_at()), std::string(2000, 'x'));
  };
  const auto failed = scene.Load();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message.starts_with("kallsyms_token_table: token 0 "));
}

TEST_CASE("the hash of a compressed name is that of the plain one") {
  FakeKernel kernel;
  KallsymsBuilder tables;
  tables.Write([&](uint64_t at, std::span<const std::byte> b) { kernel.Write(KernelVa(at), b); });
  const auto tokens = TokenTable::Read(kernel, KernelVa(tables.token_table_at()),
                                       KernelVa(tables.token_index_at()));
  REQUIRE(tokens);
  for (const std::string_view name : {"dmar_drhd_units", "iommu", "a", "", "intel_iommu_sm"}) {
    const std::string packed = KallsymsBuilder::Compress("T" + std::string(name));
    CHECK(tokens->Hash(AsBytes(packed)) == TokenTable::Hash(name));
    CHECK(tokens->Expand(AsBytes(packed)) == name);
  }
}

}  // namespace
}  // namespace dmaudit
