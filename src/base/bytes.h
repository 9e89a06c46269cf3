// SPDX-License-Identifier: GPL-2.0-or-later
// Integers out of raw bytes: unaligned, by byte order, never through a cast pointer.
#ifndef DMAUDIT_BASE_BYTES_H_
#define DMAUDIT_BASE_BYTES_H_

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace dmaudit {

enum class ByteOrder : uint8_t { kLittle, kBig };

namespace internal {
template <std::unsigned_integral T>
constexpr T Swap(T v) {
  if constexpr (sizeof(T) == 1) return v;
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(v);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(v);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(v);
}
}  // namespace internal

// The caller has checked that `bytes` holds sizeof(T) bytes at `offset`.
template <std::unsigned_integral T>
T LoadUnchecked(std::span<const std::byte> bytes, size_t offset,
                ByteOrder order = ByteOrder::kLittle) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  const bool native_little = std::endian::native == std::endian::little;
  return (order == ByteOrder::kLittle) == native_little ? value : internal::Swap(value);
}

// Nothing when the value does not lie wholly inside `bytes`.
template <std::unsigned_integral T>
std::optional<T> Load(std::span<const std::byte> bytes, uint64_t offset,
                      ByteOrder order = ByteOrder::kLittle) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  return LoadUnchecked<T>(bytes, static_cast<size_t>(offset), order);
}

// The caller has checked the room.
template <std::unsigned_integral T>
void StoreUnchecked(std::span<std::byte> bytes, size_t offset, T value,
                    ByteOrder order = ByteOrder::kLittle) {
  const bool native_little = std::endian::native == std::endian::little;
  if ((order == ByteOrder::kLittle) != native_little) value = internal::Swap(value);
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

// A sub-range, or nothing when it does not lie wholly inside.
inline std::optional<std::span<const std::byte>> SubSpan(std::span<const std::byte> bytes,
                                                         uint64_t offset, uint64_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) return std::nullopt;
  return bytes.subspan(static_cast<size_t>(offset), static_cast<size_t>(size));
}

inline bool IsAllZero(std::span<const std::byte> bytes) {
  // Equal to itself one byte further on: all bytes are the first one.
  return bytes.empty() || (bytes[0] == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

inline std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_BYTES_H_
