// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/log_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace dmaudit::test {

Status LinearKernelReader::Read(KernelVa address, std::span<std::byte> out) {
  const Result<PhysAddr> physical = Translate(address);
  if (!physical) return tl::unexpected<Error>(physical.error());
  const ReadStatus status = session_.Read(*physical, out);
  if (!status.ok()) {
    return Fail(ErrorCode::kUnknown, "{:#x}: {}", address.value(), ToString(status.state));
  }
  return {};
}

Result<PhysAddr> LinearKernelReader::Translate(KernelVa address) {
  ++translations;
  if (address.value() < kVirtual || address.value() - kVirtual >= kSize) {
    return Fail(ErrorCode::kUnknown, "{:#x}: not mapped", address.value());
  }
  return PhysAddr(address.value() - kVirtual);
}

RingBuilder::RingBuilder(uint32_t count_bits_of, uint32_t text_bits_of)
    : count_bits(count_bits_of),
      text_bits(text_bits_of),
      descriptors(size_t{1} << count_bits_of),
      infos(size_t{1} << count_bits_of),
      text(size_t{1} << text_bits_of) {
  // As the kernel starts: one reusable descriptor in the last place, positions one wrap below 0.
  head_id = tail_id = (uint64_t{0} - (descriptors.size() + 1)) & kIdMask;
  at(head_id) = {kReusable, head_id, 1, 1};
  head_position_ = uint64_t{0} - text.size();
}

uint64_t RingBuilder::Add(std::string_view line, uint64_t nanoseconds) {
  const uint64_t id = Take(nanoseconds);
  Descriptor& descriptor = at(id);
  if (line.empty()) {
    descriptor.begin = descriptor.next = 3;
    return id;
  }
  const uint64_t size = (8 + line.size() + 7) / 8 * 8;
  if (size > text.size()) throw std::logic_error("line longer than the ring");
  descriptor.begin = head_position_;
  descriptor.next = descriptor.begin + size;
  uint64_t offset = descriptor.begin % text.size();
  if (descriptor.begin / text.size() != descriptor.next / text.size()) {
    descriptor.next = descriptor.next / text.size() * text.size() + size;
    offset = 0;
  }
  head_position_ = descriptor.next;
  info(id).text_length = static_cast<uint16_t>(line.size());
  for (uint64_t old = tail_id; old != id; old = (old + 1) & kIdMask) {
    if (Overwritten(at(old))) at(old).state = kReusable;
  }
  const std::span<std::byte> bytes(text);
  StoreUnchecked<uint64_t>(bytes, offset, id);
  std::copy_n(AsBytes(line).begin(), line.size(), text.begin() + static_cast<long>(offset + 8));
  return id;
}

uint64_t RingBuilder::AddLost() {
  const uint64_t id = Take(0);
  at(id).begin = at(id).next = 1;
  return id;
}

uint64_t RingBuilder::BlockAddress(uint64_t id) {
  const Descriptor& d = at(id);
  const bool wraps = d.begin / text.size() != (d.next - 1) / text.size();
  return kText + (wraps ? 0 : d.begin % text.size());
}

uint64_t RingBuilder::DescriptorAddress(uint64_t id) const {
  return kDescriptors + id % descriptors.size() * kDescriptorSize;
}

void RingBuilder::WriteTo(FakeMemory& memory) const {
  const auto virtual_of = [](uint64_t physical) { return LinearKernelReader::kVirtual + physical; };
  memory.WriteU64(PhysAddr(kPointer), virtual_of(kRingbuffer));
  std::vector<std::byte> control(88);
  StoreUnchecked<uint32_t>(control, 0, count_bits);
  StoreUnchecked<uint64_t>(control, 8, virtual_of(kDescriptors));
  StoreUnchecked<uint64_t>(control, 16, virtual_of(kInfos));
  StoreUnchecked<uint64_t>(control, 24, head_id);
  StoreUnchecked<uint64_t>(control, 32, tail_id);
  StoreUnchecked<uint32_t>(control, 48, text_bits);
  StoreUnchecked<uint64_t>(control, 56, virtual_of(kText));
  memory.Write(PhysAddr(kRingbuffer), control);
  std::vector<std::byte> bytes(descriptors.size() * kDescriptorSize);
  for (size_t i = 0; i < descriptors.size(); ++i) {
    const size_t offset = i * kDescriptorSize;
    StoreUnchecked<uint64_t>(bytes, offset, descriptors[i].state << 62 | descriptors[i].id);
    StoreUnchecked<uint64_t>(bytes, offset + 8, descriptors[i].begin);
    StoreUnchecked<uint64_t>(bytes, offset + 16, descriptors[i].next);
  }
  memory.Write(PhysAddr(kDescriptors), bytes);
  bytes.assign(infos.size() * kInfoSize, std::byte{0});
  for (size_t i = 0; i < infos.size(); ++i) {
    const size_t offset = i * kInfoSize;
    StoreUnchecked<uint64_t>(bytes, offset, infos[i].sequence);
    StoreUnchecked<uint64_t>(bytes, offset + 8, infos[i].nanoseconds);
    StoreUnchecked<uint16_t>(bytes, offset + 16, infos[i].text_length);
  }
  memory.Write(PhysAddr(kInfos), bytes);
  memory.Write(PhysAddr(kText), text);
}

std::map<std::string, std::string> RingBuilder::Vmcoreinfo() {
  return {{"SYMBOL(prb)", fmt::format("{:x}", LinearKernelReader::kVirtual + kPointer)},
          {"SIZE(printk_ringbuffer)", "88"},
          {"OFFSET(printk_ringbuffer.desc_ring)", "0"},
          {"OFFSET(printk_ringbuffer.text_data_ring)", "48"},
          {"SIZE(prb_desc_ring)", "48"},
          {"OFFSET(prb_desc_ring.count_bits)", "0"},
          {"OFFSET(prb_desc_ring.descs)", "8"},
          {"OFFSET(prb_desc_ring.infos)", "16"},
          {"OFFSET(prb_desc_ring.head_id)", "24"},
          {"OFFSET(prb_desc_ring.tail_id)", "32"},
          {"SIZE(prb_desc)", "24"},
          {"OFFSET(prb_desc.state_var)", "0"},
          {"OFFSET(prb_desc.text_blk_lpos)", "8"},
          {"SIZE(prb_data_blk_lpos)", "16"},
          {"OFFSET(prb_data_blk_lpos.begin)", "0"},
          {"OFFSET(prb_data_blk_lpos.next)", "8"},
          {"SIZE(prb_data_ring)", "32"},
          {"OFFSET(prb_data_ring.size_bits)", "0"},
          {"OFFSET(prb_data_ring.data)", "8"},
          {"SIZE(printk_info)", "88"},
          {"OFFSET(printk_info.seq)", "0"},
          {"OFFSET(printk_info.ts_nsec)", "8"},
          {"OFFSET(printk_info.text_len)", "16"}};
}

uint64_t RingBuilder::Take(uint64_t nanoseconds) {
  const uint64_t id = (head_id + 1) & kIdMask;
  if (((id - tail_id) & kIdMask) == descriptors.size()) Drop();
  head_id = id;
  at(id) = {kFinalized, id, 0, 0};
  info(id) = {sequence_++, nanoseconds, 0};
  return id;
}

void RingBuilder::Drop() {
  at(tail_id).state = kReusable;
  tail_id = (tail_id + 1) & kIdMask;
}

bool RingBuilder::Overwritten(const Descriptor& d) const {
  return d.begin % 8 == 0 && head_position_ - d.begin > text.size();
}

uint32_t RecordsBuilder::Add(std::string_view line, uint64_t nanoseconds,
                             std::string_view dictionary) {
  const uint64_t length = (kHeader + line.size() + dictionary.size() + 3) / 4 * 4;
  // As the kernel: room for the end mark is kept.
  if (next + length + kHeader > size) {
    const size_t header = std::min<size_t>(kHeader, size - next);
    std::fill_n(bytes.begin() + next, header, std::byte{0});
    next = 0;
  }
  const uint32_t offset = next;
  const std::span<std::byte> at = std::span(bytes).subspan(offset);
  StoreUnchecked<uint64_t>(at, 0, nanoseconds);
  StoreUnchecked<uint16_t>(at, 8, static_cast<uint16_t>(length));
  StoreUnchecked<uint16_t>(at, 10, static_cast<uint16_t>(line.size()));
  StoreUnchecked<uint16_t>(at, 12, static_cast<uint16_t>(dictionary.size()));
  std::copy_n(AsBytes(line).begin(), line.size(), at.begin() + kHeader);
  std::copy_n(AsBytes(dictionary).begin(), dictionary.size(),
              at.begin() + static_cast<long>(kHeader + line.size()));
  next = static_cast<uint32_t>(offset + length);
  return offset;
}

void RecordsBuilder::SetLength(uint32_t offset, uint16_t length) {
  StoreUnchecked<uint16_t>(std::span(bytes), offset + 8, length);
}

void RecordsBuilder::SetTextLength(uint32_t offset, uint16_t length) {
  StoreUnchecked<uint16_t>(std::span(bytes), offset + 10, length);
}

void RecordsBuilder::WriteTo(FakeMemory& memory) const {
  memory.WriteU64(PhysAddr(kVariables), LinearKernelReader::kVirtual + kBuffer);
  memory.WriteU32(PhysAddr(kVariables + 8), size);
  memory.WriteU32(PhysAddr(kVariables + 16), first);
  memory.WriteU32(PhysAddr(kVariables + 24), next);
  memory.Write(PhysAddr(kBuffer), bytes);
}

std::map<std::string, std::string> RecordsBuilder::Vmcoreinfo(std::string_view type) {
  const auto symbol = [](uint64_t physical) {
    return fmt::format("{:x}", LinearKernelReader::kVirtual + physical);
  };
  return {{"SYMBOL(log_buf)", symbol(kVariables)},
          {"SYMBOL(log_buf_len)", symbol(kVariables + 8)},
          {"SYMBOL(log_first_idx)", symbol(kVariables + 16)},
          {"SYMBOL(log_next_idx)", symbol(kVariables + 24)},
          {fmt::format("SIZE({})", type), "16"},
          {fmt::format("OFFSET({}.ts_nsec)", type), "0"},
          {fmt::format("OFFSET({}.len)", type), "8"},
          {fmt::format("OFFSET({}.text_len)", type), "10"},
          {fmt::format("OFFSET({}.dict_len)", type), "12"}};
}

Status LogRun::Run() {
  std::string text;
  for (const auto& [key, value] : vmcoreinfo) text += fmt::format("{}={}\n", key, value);
  const Result<dmaudit::Vmcoreinfo> parsed = dmaudit::Vmcoreinfo::Parse(text, sink);
  if (!parsed) return tl::unexpected<Error>(parsed.error());
  MemorySession session(memory, this);
  LinearKernelReader reader(session);
  const Status status = ReadLog(*parsed, reader, session, sink, [this](const LogRecord& record) {
    seen.push_back({record.sequence, record.nanoseconds, std::string(record.text)});
    return visit(record);
  });
  translations = reader.translations;
  return status;
}

void LogRun::OnRead(PhysAddr address, uint64_t size) {
  evidence.emplace_back(address.value(), size);
}

std::vector<std::string> LogRun::texts() const {
  std::vector<std::string> out;
  for (const Seen& record : seen) out.push_back(record.text);
  return out;
}

std::vector<std::string> LogRun::notes() const {
  std::vector<std::string> out;
  for (const Diagnostic& diagnostic : sink.diagnostics()) out.push_back(diagnostic.id);
  return out;
}

}  // namespace dmaudit::test
