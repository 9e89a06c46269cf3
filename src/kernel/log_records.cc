// SPDX-License-Identifier: GPL-2.0-or-later
// The log of 3.5 to 5.9: records of variable length, header first, in the byte buffer log_buf from
// log_first_idx up to log_next_idx. A header with length 0 sends the reader back to the start.
#include <array>
#include <vector>

#include "kernel/log_internal.h"

namespace dmaudit::log_internal {
namespace {

// Records start at multiples of the alignment of the header, which is at least this.
constexpr uint64_t kAlignment = 4;

struct Layout {
  size_t size;
  size_t nanoseconds, length, text_length, dictionary_length;
};

Result<Layout> DescribeLayout(const Vmcoreinfo& vmcoreinfo, std::string_view type) {
  const Result<Structure> header = Structure::Describe(vmcoreinfo, type);
  if (!header) return tl::unexpected<Error>(header.error());
  std::optional<Error> error;
  const auto take = [&error](Result<size_t> value) -> size_t {
    if (value) return *value;
    if (!error) error = value.error();
    return 0;
  };
  Layout layout{};
  layout.size = header->size();
  layout.nanoseconds = take(header->Member("ts_nsec", sizeof(uint64_t)));
  layout.length = take(header->Member("len", sizeof(uint16_t)));
  layout.text_length = take(header->Member("text_len", sizeof(uint16_t)));
  // Only a consistency check needs it.
  layout.dictionary_length =
      header->Member("dict_len", sizeof(uint16_t)).value_or(layout.text_length);
  if (error) return tl::unexpected<Error>(*error);
  return layout;
}

// The variables that say what the buffer holds.
struct Buffer {
  KernelVa start;
  uint64_t size = 0;
  uint64_t first = 0;
  uint64_t next = 0;
};

class Variables {
 public:
  explicit Variables(const LogSource& source)
      : source_(source), window_(source.reader, source.session) {}

  template <typename T>
  Result<uint64_t> Load(std::string_view name) {
    const std::optional<KernelVa> address = source_.vmcoreinfo.Symbol(name);
    if (!address) return Fail(ErrorCode::kNotFound, "VMCOREINFO has no SYMBOL({})", name);
    std::array<std::byte, sizeof(T)> bytes{};
    const Outcome outcome = window_.Read(*address, bytes);
    if (outcome != Outcome::kRead) {
      return Fail(ErrorCode::kUnknown, "{} at {:#x} is {}", name, address->value(),
                  outcome == Outcome::kRedacted ? "redacted" : "not readable");
    }
    used_.push_back({*address, sizeof(T)});
    return uint64_t{LoadUnchecked<T>(bytes, 0)};
  }

  void Keep() {
    for (const auto& [address, size] : used_) ReadAsEvidence(source_.reader, address, size);
    used_.clear();
  }

 private:
  const LogSource& source_;
  PageWindow window_;
  std::vector<std::pair<KernelVa, size_t>> used_;
};

Result<Buffer> OpenBuffer(Variables& variables, const Layout& layout) {
  const Result<uint64_t> start = variables.Load<uint64_t>("log_buf");
  if (!start) return tl::unexpected<Error>(start.error());
  const Result<uint64_t> size = variables.Load<uint32_t>("log_buf_len");
  if (!size) return tl::unexpected<Error>(size.error());
  const Result<uint64_t> first = variables.Load<uint32_t>("log_first_idx");
  if (!first) return tl::unexpected<Error>(first.error());
  const Result<uint64_t> next = variables.Load<uint32_t>("log_next_idx");
  if (!next) return tl::unexpected<Error>(next.error());

  const Buffer buffer{KernelVa(*start), *size, *first, *next};
  if (buffer.size < layout.size || buffer.size > uint64_t{1} << kMaxSizeBits ||
      !buffer.start.Plus(buffer.size - 1)) {
    return Fail(ErrorCode::kMalformed, "log_buf {:#x} with log_buf_len {:#x}", *start, *size);
  }
  if (buffer.first >= buffer.size || buffer.next > buffer.size) {
    return Fail(ErrorCode::kMalformed,
                "log_first_idx {:#x}, log_next_idx {:#x}: log_buf_len is {:#x}", buffer.first,
                buffer.next, buffer.size);
  }
  return buffer;
}

}  // namespace

Status ReadRecords(const LogSource& source, std::string_view type) {
  const Result<Layout> layout = DescribeLayout(source.vmcoreinfo, type);
  if (!layout) return Within("kernel log", layout.error());
  Variables variables(source);
  const Result<Buffer> buffer = OpenBuffer(variables, *layout);
  if (!buffer) return Within("kernel log", buffer.error());

  PageWindow window(source.reader, source.session);
  Trouble trouble;
  std::vector<std::byte> header(layout->size);
  std::vector<std::byte> text;
  // Headers passed since the last record kept: without their lengths no later reader would find
  // that record again.
  std::vector<KernelVa> passed;

  // The indices are equal only when the buffer is empty. The walk ends: every step but one, the
  // return to the start, goes up by at least a header.
  uint64_t at = buffer->first;
  bool wrapped = buffer->first < buffer->next;
  uint64_t sequence = 0;
  while (at != buffer->next) {
    if (sequence == kMaxRecords) {
      source.sink.Note("log.limit", "kernel log: only the oldest {} records were read",
                       kMaxRecords);
      break;
    }
    const KernelVa address(buffer->start.value() + at);
    if (wrapped && at > buffer->next) {
      trouble.Damaged("record at {:#x} runs over log_next_idx {:#x}", at, buffer->next);
      break;
    }
    if (buffer->size - at < layout->size) {
      trouble.Damaged("header at {:#x} leaves log_buf_len {:#x}", at, buffer->size);
      break;
    }
    // Without a header the place of the next record is not known either.
    const Outcome outcome = window.Read(address, header);
    if (outcome == Outcome::kRedacted) break;
    if (outcome == Outcome::kUnreadable) {
      trouble.Unreadable("header at {:#x}, and all after it", address.value());
      break;
    }
    const uint64_t length = LoadUnchecked<uint16_t>(header, layout->length);
    const size_t text_length = LoadUnchecked<uint16_t>(header, layout->text_length);
    const size_t dictionary = layout->dictionary_length == layout->text_length
                                  ? 0
                                  : LoadUnchecked<uint16_t>(header, layout->dictionary_length);
    passed.push_back(address);
    if (length == 0) {
      if (wrapped) {
        trouble.Damaged("end mark at {:#x}, where log_next_idx {:#x} was still to come",
                        address.value(), buffer->next);
        break;
      }
      wrapped = true;
      at = 0;
      continue;
    }
    if (length % kAlignment != 0 || length > buffer->size - at ||
        length < layout->size + text_length + dictionary) {
      trouble.Damaged("record at {:#x}: len is {}, with {} bytes of text and {} of dictionary",
                      address.value(), length, text_length, dictionary);
      break;
    }

    LogRecord record;
    record.sequence = sequence++;
    record.nanoseconds = LoadUnchecked<uint64_t>(header, layout->nanoseconds);
    at += length;
    text.resize(text_length);
    const KernelVa text_address(address.value() + layout->size);
    const Outcome read = window.Read(text_address, text);
    if (read == Outcome::kUnreadable) trouble.Unreadable("text at {:#x}", text_address.value());
    if (read != Outcome::kRead) continue;
    record.text = AsText(text);
    const LogVerdict verdict = source.visit(record);
    if (verdict == LogVerdict::kKeep) {
      variables.Keep();
      for (const KernelVa passed_header : passed) {
        ReadAsEvidence(source.reader, passed_header, layout->size);
      }
      passed.clear();
      ReadAsEvidence(source.reader, text_address, text_length);
    }
    if (verdict == LogVerdict::kStop) break;
  }
  trouble.Report(source.sink);
  return {};
}

}  // namespace dmaudit::log_internal
