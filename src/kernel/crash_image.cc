// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/crash_image.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernel/kernel_view.h"
#include "kernel/type_view.h"

namespace dmaudit {
namespace {

// Real-mode code that is cut off a bzImage before it is loaded: at most 64 sectors and the first.
constexpr uint64_t kMaxSetup = 65 * 512;

// What kexec_file_load(2) left in the image to tell its segments by.
struct Traces {
  std::optional<uint64_t> entry;
  std::optional<uint64_t> elf_headers;  // address
  std::optional<uint64_t> initrd_size;
  std::optional<uint64_t> kernel_size;  // of the file
  bool all_read = true;
};

SegmentRole RoleOf(const ImageSegment& segment, const Traces& traces) {
  if (traces.entry && segment.range.Contains(PhysAddr(*traces.entry))) {
    return SegmentRole::kPurgatory;
  }
  if (traces.elf_headers && segment.range.first.value() == *traces.elf_headers) {
    return SegmentRole::kElfHeaders;
  }
  const bool initrd = traces.initrd_size && segment.loaded_bytes == *traces.initrd_size;
  const bool kernel = traces.kernel_size && segment.loaded_bytes < *traces.kernel_size &&
                      *traces.kernel_size - segment.loaded_bytes <= kMaxSetup;
  if (initrd == kernel) return SegmentRole::kUnknown;
  return initrd ? SegmentRole::kInitrd : SegmentRole::kKernel;
}

// The kernel and the initrd are told by their sizes; of two segments that fit, neither is known.
// Where not everything was read, a second one may fit.
void ForgetWhatIsAmbiguous(std::vector<ImageSegment>& segments, bool all_read) {
  for (const SegmentRole role : {SegmentRole::kInitrd, SegmentRole::kKernel}) {
    const auto has = [role](const ImageSegment& segment) { return segment.role == role; };
    if (all_read && std::count_if(segments.begin(), segments.end(), has) < 2) continue;
    for (ImageSegment& segment : segments) {
      if (has(segment)) segment.role = SegmentRole::kUnknown;
    }
  }
}

}  // namespace

std::string_view ToString(SegmentRole role) {
  switch (role) {
    case SegmentRole::kUnknown:
      return "";
    case SegmentRole::kKernel:
      return "kernel";
    case SegmentRole::kInitrd:
      return "initrd";
    case SegmentRole::kElfHeaders:
      return "ELF headers";
    case SegmentRole::kPurgatory:
      return "purgatory";
  }
  return "";
}

CrashImage ReadCrashImage(const KernelView& kernel, KernelVa address) {
  CrashImage out;
  out.address = address;
  const StructView image(kernel.reader, kernel.types, address, "kimage");
  const auto failed = [&](const Error& error) {
    ReportFailure(kernel.sink, Effect::kNote, "crash kernel image (where its pieces lie)", error);
  };
  const Result<uint64_t> count = image.Integer("nr_segments");
  if (!count) return failed(count.error()), out;
  const Result<MemberLayout> layout = kernel.types.Member("kimage", "segment");
  if (!layout) return failed(layout.error()), out;
  const Result<uint64_t> size = kernel.types.SizeOf("kexec_segment");
  if (!size) return failed(size.error()), out;
  const Result<KernelVa> first = image.AddressOf("segment");
  if (!first) return failed(first.error()), out;
  if (*count > layout->elements) {
    failed(
        {ErrorCode::kMalformed, fmt::format("{} is {}, the array has {}",
                                            image.Place("nr_segments"), *count, layout->elements)});
    return out;
  }
  Traces traces;
  const auto trace = [&](std::string_view member) -> std::optional<uint64_t> {
    if (!image.Has(member)) return std::nullopt;
    const Result<uint64_t> value = image.Integer(member);
    traces.all_read = traces.all_read && value;
    if (!value || *value == 0) return std::nullopt;
    return *value;
  };
  traces.entry = trace("start");
  if (image.Has("file_mode")) {
    if (const Result<uint64_t> mode = image.Integer("file_mode")) out.file_mode = *mode != 0;
  }
  if (out.file_mode && *out.file_mode) {
    traces.elf_headers = trace("elf_load_addr");
    if (!traces.elf_headers) traces.elf_headers = trace("arch.elf_load_addr");
    traces.initrd_size = trace("initrd_buf_len");
    traces.kernel_size = trace("kernel_buf_len");
  }
  out.complete = true;
  for (uint64_t i = 0; i < *count; ++i) {
    // An array that fits its structure.
    const StructView segment(kernel.reader, kernel.types, KernelVa(first->value() + i * *size),
                             "kexec_segment");
    const Result<uint64_t> start = segment.Integer("mem");
    const Result<uint64_t> length = segment.Integer("memsz");
    const Result<uint64_t> loaded = segment.Integer("bufsz");
    out.complete = out.complete && start && length && loaded;
    for (const auto* value : {&start, &length, &loaded}) {
      if (!*value) failed(value->error());
    }
    if (!start || !length || !loaded || *length == 0) continue;
    const std::optional<PhysRange> range = PhysRange::FromSize(PhysAddr(*start), *length);
    if (!range) {
      failed({ErrorCode::kMalformed,
              fmt::format("segment {}: {:#x} bytes at {:#x}", i, *length, *start)});
      out.complete = false;
      continue;
    }
    ImageSegment& added = out.segments.emplace_back();
    added.range = *range;
    added.loaded_bytes = *loaded;
    added.role = RoleOf(added, traces);
  }
  ForgetWhatIsAmbiguous(out.segments, out.complete && traces.all_read);
  std::sort(out.segments.begin(), out.segments.end(),
            [](const ImageSegment& a, const ImageSegment& b) { return a.range < b.range; });
  return out;
}

}  // namespace dmaudit
