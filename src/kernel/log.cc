// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/log.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernel/log_internal.h"

namespace dmaudit {
namespace log_internal {

Result<Structure> Structure::Describe(const Vmcoreinfo& vmcoreinfo, std::string_view type) {
  const std::optional<uint64_t> size = vmcoreinfo.Size(type);
  if (!size) return Fail(ErrorCode::kNotFound, "VMCOREINFO has no SIZE({})", type);
  if (*size == 0 || *size > kMaxStructureSize) {
    return Fail(ErrorCode::kMalformed, "VMCOREINFO: SIZE({}) is {}, expected 1 to {}", type, *size,
                kMaxStructureSize);
  }
  return Structure(vmcoreinfo, type, static_cast<size_t>(*size));
}

Result<size_t> Structure::Member(std::string_view member, size_t width) const {
  const std::string name = fmt::format("{}.{}", type_, member);
  const std::optional<uint64_t> offset = vmcoreinfo_->Offset(name);
  if (!offset) return Fail(ErrorCode::kNotFound, "VMCOREINFO has no OFFSET({})", name);
  if (*offset > size_ || width > size_ - *offset) {
    return Fail(ErrorCode::kMalformed,
                "VMCOREINFO: OFFSET({}) is {}: {} bytes there leave the {} of the structure", name,
                *offset, width, size_);
  }
  return static_cast<size_t>(*offset);
}

void PageWindow::MoveTo(KernelVa page) {
  const SearchScope search(session_);
  at_ = page;
  page_.reset();
  const Result<PhysAddr> physical = reader_.Translate(page);
  if (!physical) return;
  page_ = session_.ReadWholePage(*physical);
  offset_ = static_cast<uint32_t>(physical->OffsetIn(session_.memory().page_size()));
}

Outcome PageWindow::Read(KernelVa address, std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const std::optional<KernelVa> at = address.Plus(done);
    if (!at) return Outcome::kUnreadable;
    const KernelVa page = at->AlignDown(kVirtualPage);
    if (at_ != page) MoveTo(page);
    if (page_ == nullptr) return Outcome::kUnreadable;
    const uint32_t inside = static_cast<uint32_t>(at->OffsetIn(kVirtualPage));
    const uint32_t size =
        static_cast<uint32_t>(std::min<uint64_t>(kVirtualPage - inside, out.size() - done));
    const uint32_t from = offset_ + inside;
    // A provider that translates to the middle of a page would be a defect; reading on into
    // nothing would be a worse one.
    if (from > page_->bytes.size() || size > page_->bytes.size() - from) {
      return Outcome::kUnreadable;
    }
    const ByteState state = page_->FirstUnreadable(from, size).state;
    if (state == ByteState::kRedacted) return Outcome::kRedacted;
    if (!IsReadable(state)) return Outcome::kUnreadable;
    std::memcpy(out.data() + done, page_->bytes.data() + from, size);
    done += size;
  }
  return Outcome::kRead;
}

void Trouble::Report(DiagnosticSink& sink) const {
  if (damaged_ != 0) {
    sink.Note("log.damaged", "kernel log: {} damaged records, the first: {}", damaged_,
              first_damaged_);
  }
  if (unreadable_ != 0) {
    sink.Note("log.unreadable", "kernel log: {} unreadable records, the first: {}", unreadable_,
              first_unreadable_);
  }
}

void ReadAsEvidence(KernelReader& reader, KernelVa address, size_t size) {
  std::vector<std::byte> bytes(size);
  const Status status = reader.Read(address, bytes);
  static_cast<void>(status);
}

}  // namespace log_internal

Status ReadLog(const Vmcoreinfo& vmcoreinfo, KernelReader& reader, MemorySession& session,
               DiagnosticSink& sink, const std::function<LogVerdict(const LogRecord&)>& visit) {
  const log_internal::LogSource source{vmcoreinfo, reader, session, sink, visit};
  if (vmcoreinfo.Symbol("prb")) return log_internal::ReadRingbuffer(source);
  // 3.11 renamed the record header.
  for (const std::string_view type : {"printk_log", "log"}) {
    if (vmcoreinfo.Size(type)) return log_internal::ReadRecords(source, type);
  }
  if (vmcoreinfo.Symbol("log_buf")) {
    return Fail(ErrorCode::kUnsupported,
                "kernel log: VMCOREINFO describes only a byte ring (log_buf without SIZE(log))");
  }
  return Fail(ErrorCode::kNotFound, "kernel log: VMCOREINFO names neither prb nor log_buf");
}

}  // namespace dmaudit
