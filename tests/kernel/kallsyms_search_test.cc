// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kallsyms_search.h"

#include <doctest/doctest.h>

#include <functional>
#include <set>

#include "support/fake_kernel.h"
#include "support/kallsyms_builder.h"

namespace dmaudit {
namespace {

using test::FakeKernel;
using test::FakeMemory;
using test::KallsymsBuilder;
using Order = KallsymsBuilder::Order;

constexpr uint64_t kStext = 0xffffffff81000000;
constexpr uint64_t kUnits = 0xffffffff82ffff40;
constexpr KernelRange kImage{KernelVa(0xffffffff81000000), KernelVa(0xffffffff83ffffff)};

KallsymsBuilder Tables(size_t symbols = 5000) {
  KallsymsBuilder tables;
  tables.order = Order::kAddressesFirst;
  tables.lengths = LengthForm::kOneByte;
  tables.addresses = AddressForm::kAbsolutePerCpu;
  tables.symbols = {{'T', "_stext", kStext},
                    {'D', "dmar_drhd_units", kUnits},
                    {'D', "init_uts_ns", kStext + 0x400},
                    {'D', "init_top_pgt", kStext + 0x1000}};
  for (size_t i = tables.symbols.size(); i < symbols; ++i) {
    tables.symbols.push_back({'t', fmt::format("function_{}", i), kStext + 0x2000 + i});
  }
  return tables;
}

struct Scene {
  void Write(const KallsymsBuilder& tables) {
    tables.Write(
        [&](uint64_t at, std::span<const std::byte> bytes) { kernel.Write(KernelVa(at), bytes); });
  }
  Result<SymbolTable> Search() {
    DiagnosticSink sink;
    const auto info = Vmcoreinfo::Parse(vmcoreinfo, sink);
    MemorySession session(kernel.memory());
    KernelImage image(*info, kernel, session);
    const std::vector<std::string_view> wanted = {"dmar_drhd_units", "absent"};
    return SearchKallsyms(image, wanted);
  }
  KallsymsCandidates Find() {
    return FindKallsymsTables(ImageBytes::Load(kernel, kImage, ImagePart::kConstants));
  }

  FakeKernel kernel;
  std::string vmcoreinfo =
      "SYMBOL(_stext)=ffffffff81000000\nSYMBOL(init_uts_ns)=ffffffff81000400\n"
      "SYMBOL(swapper_pg_dir)=ffffffff81001000\nNUMBER(KERNEL_IMAGE_SIZE)=67108864\n";
};

struct Variant {
  Order order;
  AddressForm addresses;
  LengthForm lengths = LengthForm::kOneByte;
  size_t marker_width = 4;
  uint64_t alignment = 8;
  bool sequence_numbers = false;
};

TEST_CASE("the tables of every kernel are found") {
  constexpr std::array<Variant, 10> kVariants = {{
      {Order::kAddressesFirst, AddressForm::kAbsolute, LengthForm::kOneByte, 8},        // to 4.5
      {Order::kAddressesFirst, AddressForm::kAbsolutePerCpu, LengthForm::kOneByte, 8},  // to 4.19
      {Order::kAddressesFirst, AddressForm::kBaseRelative, LengthForm::kOneByte, 8},    // no SMP
      {Order::kAddressesFirst, AddressForm::kAbsolutePerCpu},                           // to 6.0
      {Order::kAddressesFirst, AddressForm::kAbsolute},                                 // no base
      {Order::kAddressesFirst, AddressForm::kAbsolutePerCpu, LengthForm::kUleb128, 4, 8, true},
      {Order::kAddressesLast, AddressForm::kAbsolutePerCpu, LengthForm::kUleb128},       // to 6.14
      {Order::kAddressesLast, AddressForm::kAbsolute, LengthForm::kUleb128},             // no base
      {Order::kAddressesLast, AddressForm::kBaseRelative, LengthForm::kUleb128},         // to 6.19
      {Order::kAddressesLast, AddressForm::kPlaceRelative, LengthForm::kUleb128, 4, 4},  // later
  }};
  for (size_t v = 0; v < kVariants.size(); ++v) {
    // Odd and even numbers of markers and names: with padding and without.
    for (const size_t symbols : {5000u, 5300u, 5301u}) {
      CAPTURE(v);
      CAPTURE(symbols);
      const Variant& variant = kVariants[v];
      KallsymsBuilder tables = Tables(symbols);
      tables.order = variant.order;
      tables.addresses = variant.addresses;
      tables.lengths = variant.lengths;
      tables.marker_width = variant.marker_width;
      tables.alignment = variant.alignment;
      tables.sequence_numbers = variant.sequence_numbers;
      tables.at += variant.alignment * 3;
      // Long enough that its length needs the form: two bytes, or one with its top bit set.
      tables.symbols[40].name = std::string(130, 'x');
      Scene scene;
      scene.Write(tables);
      const auto symbols_found = scene.Search();
      REQUIRE_MESSAGE(symbols_found, (symbols_found ? "" : symbols_found.error().message));
      CHECK(symbols_found->Find("dmar_drhd_units").value() == KernelVa(kUnits));
      CHECK(symbols_found->from() == "kallsyms (found by signature)");
      CHECK_FALSE(symbols_found->Get("absent"));
      const KallsymsCandidates candidates = scene.Find();
      REQUIRE(candidates.found.size() == 1);
      CHECK(candidates.found[0].names == KernelVa(tables.names_at()));
      CHECK(candidates.found[0].num_syms == KernelVa(tables.num_syms_at()));
      CHECK(candidates.found[0].markers == KernelVa(tables.markers_at()));
      CHECK(candidates.found[0].token_table == KernelVa(tables.token_table_at()));
      CHECK(candidates.found[0].token_index == KernelVa(tables.token_index_at()));
      CHECK(candidates.found[0].count == tables.symbols.size());
    }
  }
}

TEST_CASE("fewer markers than any kernel has are not looked for") {
  const auto found = [](size_t symbols) {
    Scene scene;
    scene.Write(Tables(symbols));
    return scene.Find().found.size();
  };
  CHECK(found(15 * 256) == 0);
  CHECK(found(15 * 256 + 1) == 1);
  CHECK(found(16 * 256) == 1);
}

TEST_CASE("a table that the others do not prove is not taken") {
  const auto search = [](const std::function<void(Scene&, const KallsymsBuilder&)>& damage) {
    const KallsymsBuilder tables = Tables();
    Scene scene;
    scene.Write(tables);
    damage(scene, tables);
    const auto symbols = scene.Search();
    REQUIRE_FALSE(symbols);
    return symbols.error();
  };
  const auto put = [](Scene& scene, uint64_t at, uint8_t value) {
    const std::byte byte{value};
    scene.kernel.Write(KernelVa(at), {&byte, 1});
  };
  // The same without damage is found.
  Scene whole;
  whole.Write(Tables());
  CHECK(whole.Search());

  const Error index = search([&](Scene& scene, const KallsymsBuilder& tables) {
    put(scene, tables.token_index_at() + 511, 0x77);
  });
  CHECK(index.code == ErrorCode::kNotFound);
  CHECK(index.message.starts_with("kallsyms not found by signature in "));
  CHECK(index.message.find("token_table") == std::string::npos);

  const std::string no_names = "but no markers and names below it";
  const Error marker = search([&](Scene& scene, const KallsymsBuilder& tables) {
    scene.kernel.WriteU32(KernelVa(tables.markers_at() + 4 * 7), 1);
  });
  CHECK(marker.message.find(no_names) != std::string::npos);
  for (const uint32_t count : {0u, 4999u, 5001u, 0xffff'ffffu}) {
    const Error number = search([&](Scene& scene, const KallsymsBuilder& tables) {
      scene.kernel.WriteU32(KernelVa(tables.num_syms_at()), count);
    });
    CHECK(number.message.find(no_names) != std::string::npos);
  }
  for (const uint8_t length : {uint8_t{0}, uint8_t{1}, uint8_t{255}}) {
    const Error name = search([&](Scene& scene, const KallsymsBuilder& tables) {
      put(scene, tables.names_at(), length);
    });
    CHECK(name.message.find(no_names) != std::string::npos);
  }
  const Error page = search([&](Scene& scene, const KallsymsBuilder& tables) {
    scene.kernel.memory().SetPageState(PhysAddr(tables.names_at() + 0x2000), ByteState::kExcluded);
  });
  CHECK(page.message.find(no_names) != std::string::npos);

  // Offsets that decode to something else.
  const Error address = search([&](Scene& scene, const KallsymsBuilder& tables) {
    scene.kernel.WriteU32(KernelVa(tables.addresses_at()), 0);
  });
  CHECK(address.message.find("gives the addresses of VMCOREINFO") != std::string::npos);
  // The one word that cannot be read afterwards.
  const Error base = search([&](Scene& scene, const KallsymsBuilder& tables) {
    scene.kernel.memory().SetState(PhysAddr(tables.relative_base_at()), 8, ByteState::kExcluded);
  });
  CHECK(base.message.find("gives the addresses of VMCOREINFO") != std::string::npos);
}

TEST_CASE("an anchor with another address than VMCOREINFO gives turns an encoding down") {
  for (const std::string wrong :
       {"SYMBOL(_stext)=ffffffff81000010\n",
        "SYMBOL(_stext)=ffffffff81000000\nSYMBOL(init_uts_ns)=ffffffff81000401\n",
        "SYMBOL(_stext)=ffffffff81000000\nSYMBOL(swapper_pg_dir)=ffffffff81001001\n"}) {
    CAPTURE(wrong);
    Scene scene;
    scene.Write(Tables());
    scene.vmcoreinfo = wrong + "NUMBER(KERNEL_IMAGE_SIZE)=67108864\n";
    CHECK_FALSE(scene.Search());
  }
}

TEST_CASE("without _stext on both sides the other anchors prove no encoding") {
  Scene unnamed;
  KallsymsBuilder tables = Tables();
  tables.symbols[0].name = "_stexx";
  unnamed.Write(tables);
  CHECK_FALSE(unnamed.Search());

  Scene untold;
  untold.Write(Tables());
  untold.vmcoreinfo =
      "SYMBOL(init_uts_ns)=ffffffff81000400\nSYMBOL(swapper_pg_dir)=ffffffff81001000\n"
      "NUMBER(KERNEL_IMAGE_SIZE)=67108864\n";
  CHECK_FALSE(untold.Search());
}

TEST_CASE("two tables that both agree are ambiguous, one that does not agree is passed over") {
  KallsymsBuilder tables = Tables();
  KallsymsBuilder other = Tables();
  other.at += 0x100000;
  Scene twice;
  twice.Write(tables);
  twice.Write(other);
  const auto ambiguous = twice.Search();
  REQUIRE_FALSE(ambiguous);
  CHECK(ambiguous.error().code == ErrorCode::kMalformed);
  CHECK(ambiguous.error().message.find("ambiguous") != std::string::npos);

  for (auto& symbol : other.symbols) symbol.address += 0x10;
  Scene decoy;
  decoy.Write(tables);
  decoy.Write(other);
  const auto found = decoy.Search();
  REQUIRE_MESSAGE(found, (found ? "" : found.error().message));
  CHECK(found->Find("dmar_drhd_units").value() == KernelVa(kUnits));
}

TEST_CASE("places with digits beyond any reason end the search") {
  const std::string digits("0\0001\0002\0003\0004\0005\0006\0007\0008\0009\0", 20);
  const auto limit = [&](size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += digits;
    Scene scene;
    scene.kernel.Write(KernelVa(0xffffffff82000000), AsBytes(text));
    return scene.Find().limit;
  };
  CHECK(limit(4095).empty());
  CHECK(limit(4096).empty());
  CHECK(limit(4097) == "more than 4096 places with digits");
  std::string text;
  for (size_t i = 0; i < 4097; ++i) text += digits;
  Scene scene;
  scene.kernel.Write(KernelVa(0xffffffff82000000), AsBytes(text));
  CHECK(scene.Search().error().code == ErrorCode::kLimit);
}

class Recorder : public ReadRecorder {
 public:
  void OnRead(PhysAddr address, uint64_t size) override {
    for (uint64_t at = address.value() / 8 * 8; at < address.value() + size; at += 8) {
      words.insert(at);
    }
  }
  std::set<uint64_t> words;
};

// A FakeKernel that reads through one session.
class SessionKernel : public FakeKernel {
 public:
  explicit SessionKernel(FakeMemory& memory, MemorySession& session)
      : source_(memory), session_(session) {}
  Status Read(KernelVa address, std::span<std::byte> out) override {
    const ReadStatus status = session_.Read(PhysAddr(address.value()), out);
    if (status.ok()) return {};
    return Fail(ErrorCode::kUnknown, "kernel address {:#x} is {}", status.where.value(),
                ToString(status.state));
  }
  MappedStretch StretchAt(KernelVa address) override {
    const KernelVa page = address.AlignDown(FakeMemory::kPageSize);
    const bool there = source_.PageStateHint(PhysAddr(page.value())) != ByteState::kAbsent;
    return {page, FakeMemory::kPageSize, there, false, false};
  }

 private:
  FakeMemory& source_;
  MemorySession& session_;
};

TEST_CASE("searching is no evidence, and the evidence alone is found again") {
  const KallsymsBuilder tables = Tables();
  Scene scene;
  scene.Write(tables);
  scene.kernel.WriteText(KernelVa(tables.end() + 0x8000), "looked at, never used");
  DiagnosticSink sink;
  const auto info = Vmcoreinfo::Parse(scene.vmcoreinfo, sink);
  const std::vector<std::string_view> wanted = {"dmar_drhd_units", "function_4999"};
  const auto search = [&](FakeMemory& memory, ReadRecorder* recorder) {
    MemorySession session(memory, recorder);
    SessionKernel kernel(memory, session);
    KernelImage image(*info, kernel, session);
    return SearchKallsyms(image, wanted);
  };
  Recorder first;
  REQUIRE(search(scene.kernel.memory(), &first));
  CHECK(first.words.contains(tables.markers_at()));
  CHECK(first.words.contains(tables.num_syms_at()));
  CHECK_FALSE(first.words.contains((tables.end() + 0x8000) / 8 * 8));
  CHECK_FALSE(first.words.contains((tables.addresses_at() + 4 * 2000) / 8 * 8));

  // Everything else taken away.
  FakeMemory& memory = scene.kernel.memory();
  const uint64_t end = tables.end() + 0xa000;
  for (uint64_t at = tables.at / 4096 * 4096; at < end; at += 8) {
    if (memory.PageStateHint(PhysAddr(at / 4096 * 4096)) == ByteState::kAbsent) continue;
    if (!first.words.contains(at)) memory.SetState(PhysAddr(at), 8, ByteState::kRedacted);
  }
  Recorder second;
  const auto again = search(memory, &second);
  REQUIRE_MESSAGE(again, (again ? "" : again.error().message));
  CHECK(again->Find("dmar_drhd_units").value() == KernelVa(kUnits));
  CHECK(again->Find("function_4999").value() == KernelVa(kStext + 0x2000 + 4999));
  CHECK(second.words == first.words);
}

TEST_CASE("the range of the image needs _stext inside it") {
  const auto range = [](std::string_view text) {
    DiagnosticSink sink;
    return ImageRange(*Vmcoreinfo::Parse(text, sink));
  };
  const KernelRange plain = range("SYMBOL(_stext)=ffffffff81234567\n").value();
  CHECK(plain.first == KernelVa(0xffffffff81200000));
  CHECK(plain.last == KernelVa(0xffffffff9fffffff));
  CHECK(range("SYMBOL(_stext)=ffffffff81000000\nNUMBER(KERNEL_IMAGE_SIZE)=1073741824\n")
            .value()
            .last == KernelVa(0xffffffffbfffffff));
  // No more than a kernel can have.
  for (const std::string size : {"1073741825", "-1", "0", "9223372036854775807"}) {
    CHECK(range("SYMBOL(_stext)=ffffffff81000000\nNUMBER(KERNEL_IMAGE_SIZE)=" + size + "\n")
              .value()
              .last == KernelVa(0xffffffffbfffffff));
  }
  CHECK(range("OSRELEASE=5.10\n").error().code == ErrorCode::kNotFound);
  CHECK(range("SYMBOL(_stext)=ffffffff7fffffff\n").error().code == ErrorCode::kMalformed);
  CHECK(range("SYMBOL(_stext)=ffffffff9fe00000\n"));
  CHECK(range("SYMBOL(_stext)=ffffffffa0000000\n").error().code == ErrorCode::kMalformed);
}

TEST_CASE("the bytes of the image at their limits") {
  FakeKernel kernel;
  for (const uint64_t page : {0u, 1u, 3u}) {
    kernel.WriteU64(KernelVa(0xffffffff81000000 + page * 4096), page + 1);
  }
  kernel.memory().AddZeroPage(PhysAddr(0xffffffff81004000));
  kernel.memory().SetPageState(PhysAddr(0xffffffff81004000), ByteState::kExcluded);
  const auto load = [&](uint64_t limit) {
    return ImageBytes::Load(kernel, kImage, ImagePart::kConstants, limit);
  };
  CHECK(load(2 * 4096).cut_off());
  CHECK(load(2 * 4096).size() == 2 * 4096);
  CHECK(load(3 * 4096 - 1).cut_off());
  const ImageBytes image = load(4 * 4096);
  CHECK_FALSE(image.cut_off());
  CHECK(image.size() == 3 * 4096);
  REQUIRE(image.pieces().size() == 2);
  CHECK(image.pieces()[0].bytes.size() == 2 * 4096);
  CHECK(image.View(KernelVa(0xffffffff81000000), 8192));
  CHECK_FALSE(image.View(KernelVa(0xffffffff81000000), 8193));
  CHECK_FALSE(image.View(KernelVa(0xffffffff80ffffff), 2));
  CHECK_FALSE(image.View(KernelVa(0xffffffff81002000), 1));
  std::array<std::byte, 4096 + 16> bytes{};
  image.Copy(KernelVa(0xffffffff81001ff8), bytes);
  CHECK(bytes[7] == std::byte{0});
  CHECK(bytes[8] == ImageBytes::kFiller);
  CHECK(bytes[4096 + 7] == ImageBytes::kFiller);
  CHECK(bytes[4096 + 8] == std::byte{4});
  CHECK(ImageBytes::Load(kernel, kImage, ImagePart::kRest).size() == 0);
}

}  // namespace
}  // namespace dmaudit
