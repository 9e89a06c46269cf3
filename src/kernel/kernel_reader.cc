// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kernel_reader.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace dmaudit {
namespace {

template <typename T>
Result<T> ReadInteger(KernelReader& reader, KernelVa address) {
  std::array<std::byte, sizeof(T)> bytes{};
  const Status status = reader.Read(address, bytes);
  if (!status) return tl::unexpected<Error>(status.error());
  return LoadUnchecked<T>(bytes, 0);
}

}  // namespace

Result<uint64_t> KernelReader::ReadU64(KernelVa address) {
  return ReadInteger<uint64_t>(*this, address);
}
Result<uint32_t> KernelReader::ReadU32(KernelVa address) {
  return ReadInteger<uint32_t>(*this, address);
}
Result<uint16_t> KernelReader::ReadU16(KernelVa address) {
  return ReadInteger<uint16_t>(*this, address);
}
Result<uint8_t> KernelReader::ReadU8(KernelVa address) {
  return ReadInteger<uint8_t>(*this, address);
}

MappedStretch KernelReader::StretchAt(KernelVa address) {
  constexpr uint64_t kPage = 4096;
  return {address.AlignDown(kPage), kPage, Translate(address).has_value(), false, false};
}

bool KernelReader::ReadKnown(KernelVa address, std::span<std::byte> out, std::byte filler) {
  if (Read(address, out)) return true;
  bool any = false;
  constexpr size_t kWord = 8;
  for (size_t done = 0; done < out.size();) {
    const KernelVa at(address.value() + done);
    const std::span<std::byte> word =
        out.subspan(done, std::min(kWord - at.OffsetIn(kWord), out.size() - done));
    if (Read(at, word)) {
      any = true;
    } else {
      std::fill(word.begin(), word.end(), filler);
    }
    done += word.size();
  }
  return any;
}

Result<std::string> KernelReader::ReadString(KernelVa address, size_t limit) {
  // Read up to the next 64-byte border at a time: the string may end just before memory that is not
  // known.
  constexpr uint64_t kChunk = 64;
  std::string text;
  while (text.size() < limit) {
    const std::optional<KernelVa> at = address.Plus(text.size());
    if (!at)
      return Fail(ErrorCode::kUnknown, "string at {:#x} leaves the address space", address.value());
    std::array<std::byte, kChunk> bytes{};
    const size_t size =
        static_cast<size_t>(std::min<uint64_t>(kChunk - at->OffsetIn(kChunk), limit - text.size()));
    const Status status = Read(*at, std::span(bytes).first(size));
    if (!status) return tl::unexpected<Error>(status.error());
    const std::string_view chunk = AsText(std::span(bytes).first(size));
    const size_t nul = chunk.find('\0');
    text.append(chunk.substr(0, nul));
    if (nul != std::string_view::npos) break;
  }
  return text;
}

}  // namespace dmaudit
