// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/notes.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"

namespace dmaudit {
namespace {

constexpr uint64_t kHeaderSize = 12;  // u32 namesz, u32 descsz, u32 type

constexpr uint64_t Padded(uint32_t size) { return (uint64_t{size} + 3) & ~uint64_t{3}; }

}  // namespace

void ParseNotes(std::span<const std::byte> area, FileOffset base, std::string_view context,
                std::vector<DumpNote>& notes, DiagnosticSink& sink, ByteOrder order) {
  uint64_t at = 0;
  while (area.size() - at >= kHeaderSize) {
    const uint32_t name_size = *Load<uint32_t>(area, at, order);
    const uint32_t descriptor_size = *Load<uint32_t>(area, at + 4, order);
    const uint32_t type = *Load<uint32_t>(area, at + 8, order);
    if (name_size == 0 && descriptor_size == 0 && type == 0) return;
    const uint64_t name_at = at + kHeaderSize;
    const uint64_t descriptor_at = name_at + Padded(name_size);
    const auto name = SubSpan(area, name_at, name_size);
    const auto descriptor = SubSpan(area, descriptor_at, descriptor_size);
    if (!name || !descriptor) {
      sink.Incomplete("note.malformed",
                      "{}: note at {:#x}: name of {} and descriptor of {} bytes leave its area",
                      context, base.value() + at, name_size, descriptor_size);
      return;
    }
    if (notes.size() == kMaxNotes) {
      sink.Incomplete("note.budget", "{}: notes at {:#x}: only the first {} are kept", context,
                      base.value(), kMaxNotes);
      return;
    }
    std::string_view text = AsText(*name);
    text = text.substr(0, text.find('\0'));
    notes.push_back({std::string(text), type, {descriptor->begin(), descriptor->end()}});
    // The padding of the last descriptor may be missing.
    at = std::min<uint64_t>(descriptor_at + Padded(descriptor_size), area.size());
  }
  const auto rest = area.subspan(static_cast<size_t>(at));
  if (std::any_of(rest.begin(), rest.end(), [](std::byte b) { return b != std::byte{0}; })) {
    sink.Incomplete("note.malformed", "{}: note at {:#x}: {} bytes hold no note header", context,
                    base.value() + at, rest.size());
  }
}

void ReadNotes(const ByteSource& source, FileOffset offset, uint64_t size, std::string_view context,
               std::vector<DumpNote>& notes, DiagnosticSink& sink, ByteOrder order) {
  if (size == 0) return;
  const uint64_t available = offset.value() < source.size() ? source.size() - offset.value() : 0;
  if (size > available) {
    sink.Incomplete("note.truncated",
                    "{}: notes at {:#x}: {:#x} bytes announced, the file has {:#x}", context,
                    offset.value(), size, available);
  }
  const uint64_t wanted = std::min(size, available);
  if (wanted > kMaxNoteBytes) {
    sink.Incomplete("note.budget", "{}: notes at {:#x}: {:#x} bytes, only the first {:#x} are read",
                    context, offset.value(), wanted, kMaxNoteBytes);
  }
  std::vector<std::byte> area(static_cast<size_t>(std::min(wanted, kMaxNoteBytes)));
  const Result<size_t> got = source.ReadAt(offset, area);
  if (!got) {
    sink.Report("note.unreadable", Effect::kIncomplete, got.error().message);
    return;
  }
  area.resize(*got);
  const uint64_t written = source.FirstUnwritten(offset, area.size()).value() - offset.value();
  if (written < area.size()) {
    sink.Incomplete("note.truncated", "{}: notes at {:#x}: no record of the stream has {:#x}",
                    context, offset.value(), offset.value() + written);
    area.resize(static_cast<size_t>(written));
  }
  ParseNotes(area, offset, context, notes, sink, order);
}

bool HasNote(const std::vector<DumpNote>& notes, std::string_view name) {
  return std::any_of(notes.begin(), notes.end(),
                     [name](const DumpNote& note) { return note.name == name; });
}

void ReportErased(std::string_view id, std::string_view path, DiagnosticSink& sink) {
  sink.Incomplete(id,
                  "{}: makedumpfile --config erased data: what is listed in ERASEINFO is not what "
                  "the machine's memory held",
                  path);
}

}  // namespace dmaudit
