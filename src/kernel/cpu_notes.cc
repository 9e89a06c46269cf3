// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/cpu_notes.h"

#include "base/bytes.h"

namespace dmaudit {
namespace {

// QEMUCPUState of QEMU's target/i386/arch_dump.c: u32 version, u32 size, 18 general registers, 10
// segments of 24 bytes, then cr0 .. cr4.
constexpr uint32_t kVersion = 1;
constexpr uint64_t kCr0 = 392;
constexpr uint64_t kCr3 = 416;
constexpr uint64_t kCr4 = 424;
constexpr uint64_t kRegisters = 8;  // first byte behind version and size
constexpr uint64_t kControlEnd = kCr4 + 8;

}  // namespace

std::vector<CpuRegisters> ReadCpuNotes(std::span<const DumpNote> notes) {
  std::vector<CpuRegisters> cpus;
  for (const DumpNote& note : notes) {
    if (note.name != "QEMU" || cpus.size() == kMaxCpuNotes) continue;
    const std::span<const std::byte> bytes(note.descriptor);
    if (Load<uint32_t>(bytes, 0) != kVersion) continue;
    const auto cr0 = Load<uint64_t>(bytes, kCr0);
    const auto cr3 = Load<uint64_t>(bytes, kCr3);
    const auto cr4 = Load<uint64_t>(bytes, kCr4);
    if (cr0 && cr3 && cr4) cpus.push_back({*cr0, *cr3, *cr4});
  }
  return cpus;
}

std::vector<DumpNote> NotesOfKernel(std::span<const DumpNote> notes) {
  std::vector<DumpNote> kept;
  for (const DumpNote& note : notes) {
    if (note.name != "VMCOREINFO" && note.name != "QEMU") continue;
    kept.push_back(note);
    if (note.name != "QEMU") continue;
    std::vector<std::byte>& bytes = kept.back().descriptor;
    for (size_t i = kRegisters; i < bytes.size(); ++i) {
      if (i < kCr0 || i >= kControlEnd) bytes[i] = std::byte{'X'};
    }
  }
  return kept;
}

}  // namespace dmaudit
