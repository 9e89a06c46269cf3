// SPDX-License-Identifier: GPL-2.0-or-later
// The text of VMCOREINFO as a note, and somewhere in the memory of a dump without one, beside the
// page tables of one kernel: whatever the text says, only tables that prove themselves are taken.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "kernel/find_kernel.h"
#include "kernel/vmcoreinfo.h"
#include "support/fake_memory.h"
#include "support/page_table_builder.h"

namespace {

using dmaudit::PhysAddr;
using dmaudit::WhichKernel;

constexpr uint64_t kImage = 0xffffffff80000000;
constexpr uint64_t kPhysBase = 0x3000000;
constexpr uint64_t kTable = 0x4600000;

void Parse(std::string_view text) {
  dmaudit::DiagnosticSink sink;
  const auto info = dmaudit::Vmcoreinfo::Parse(text, sink);
  if (!info) return;
  static_cast<void>(info->Get("OSRELEASE"));
  static_cast<void>(info->Symbol("_stext"));
  static_cast<void>(info->Number("phys_base"));
  static_cast<void>(info->Size("list_head"));
  static_cast<void>(info->Offset("list_head.next"));
  static_cast<void>(info->Length("zone.free_area"));
}

void Find(std::string_view text, uint64_t at) {
  auto memory = std::make_unique<dmaudit::test::FakeMemory>();
  dmaudit::test::PageTableBuilder tables(*memory, PhysAddr(kTable), 4);
  tables.Map(kImage + 0x1000000, kPhysBase + 0x1000000, 2);
  tables.Map(kImage + 0x1600000, kTable, 2);
  memory->AddZeroPage(PhysAddr(0x5000));
  memory->Write(PhysAddr(at), dmaudit::AsBytes(text));
  dmaudit::Dump dump;
  dump.info.file_size = 1 << 20;
  dump.memory = std::move(memory);
  for (const WhichKernel& which :
       {WhichKernel{WhichKernel::Kind::kCrashed, {}}, WhichKernel{WhichKernel::Kind::kCapture, {}},
        WhichKernel{WhichKernel::Kind::kAddress, PhysAddr(at)}}) {
    dmaudit::MemorySession session(*dump.memory);
    dmaudit::DiagnosticSink sink;
    const auto choice = dmaudit::FindKernel(dump, session, which, sink);
    if (!choice) continue;
    const auto& root = choice->kernel.tables.root;
    dmaudit::KernelAddressSpace space(session, root);
    const auto top = choice->kernel.vmcoreinfo.Symbol("init_top_pgt");
    if (top && top->value() >= kImage) {
      const auto own = space.Translate(*top);
      if (!own || *own != root.table) {
        std::fputs("violated: page tables that do not map themselves\n", stderr);
        std::abort();
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Parse(text);
  if (size > 0x8000) return 0;
  Find(text, 0x5000);
  Find(text, 0x5ffc);
  return 0;
}
