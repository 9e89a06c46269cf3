// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/type_view.h"

#include <fmt/format.h>

#include <array>
#include <unordered_set>

#include "base/bytes.h"

namespace dmaudit {
namespace {

// Character arrays in kernel structures are names of a few dozen bytes.
constexpr uint64_t kMaxTextMember = 4096;

}  // namespace

std::string StructView::Place(std::string_view path) const {
  const Result<MemberLayout> layout = types_->Member(type_, path);
  const uint64_t offset = layout ? layout->bit_offset / 8 : 0;
  return fmt::format("{}.{} @ {:#x}", type_, path, address_.value() + offset);
}

Result<std::pair<KernelVa, MemberLayout>> StructView::Locate(std::string_view path) const {
  const Result<MemberLayout> layout = types_->Member(type_, path);
  if (!layout) return tl::unexpected<Error>(layout.error());
  const std::optional<KernelVa> at = address_.Plus(layout->bit_offset / 8);
  if (!at) return Fail(ErrorCode::kUnknown, "{}: out of the address space", Place(path));
  return std::pair(*at, *layout);
}

bool StructView::Has(std::string_view path) const {
  return types_->Member(type_, path).has_value();
}

Result<uint64_t> StructView::Integer(std::string_view path) const {
  const auto member = Locate(path);
  if (!member) return tl::unexpected<Error>(member.error());
  const auto& [at, layout] = *member;
  const uint64_t shift = layout.bit_offset % 8;
  const bool readable =
      (layout.kind == MemberKind::kInteger || layout.kind == MemberKind::kPointer) &&
      layout.elements == 0 && layout.bit_size != 0 && layout.bit_size <= 64;
  // A bit field may begin inside a byte, so that 64 bits of it could touch nine bytes: none does.
  if (!readable || shift + layout.bit_size > 64) {
    return Fail(ErrorCode::kUnsupported, "{} is not an integer of at most 64 bits", Place(path));
  }
  std::array<std::byte, 8> bytes{};
  const size_t size = static_cast<size_t>((shift + layout.bit_size + 7) / 8);
  if (const Status status = reader_->Read(at, std::span(bytes).first(size)); !status) {
    return Within(Place(path), status.error());
  }
  const uint64_t word = LoadUnchecked<uint64_t>(bytes, 0) >> shift;
  return layout.bit_size == 64 ? word : word & ((uint64_t{1} << layout.bit_size) - 1);
}

Result<uint64_t> StructView::Integer(std::initializer_list<std::string_view> paths) const {
  for (const std::string_view path : paths) {
    if (Has(path)) return Integer(path);
  }
  return Integer(*paths.begin());
}

Result<KernelVa> StructView::Pointer(std::string_view path) const {
  const Result<uint64_t> value = Integer(path);
  if (!value) return tl::unexpected<Error>(value.error());
  return KernelVa(*value);
}

Result<KernelVa> StructView::AddressOf(std::string_view path) const {
  const auto member = Locate(path);
  if (!member) return tl::unexpected<Error>(member.error());
  return member->first;
}

Result<StructView> StructView::Struct(std::string_view path) const {
  const auto member = Locate(path);
  if (!member) return tl::unexpected<Error>(member.error());
  if (member->second.kind != MemberKind::kStruct || member->second.elements != 0 ||
      member->second.struct_name.empty()) {
    return Fail(ErrorCode::kUnsupported, "{} is not a named structure", Place(path));
  }
  return StructView(*reader_, *types_, member->first, member->second.struct_name);
}

Result<std::string> StructView::Text(std::string_view path) const {
  const auto member = Locate(path);
  if (!member) return tl::unexpected<Error>(member.error());
  const auto& [at, layout] = *member;
  if (layout.kind != MemberKind::kInteger || layout.elements == 0 ||
      layout.elements > kMaxTextMember || layout.bit_size != layout.elements * 8) {
    return Fail(ErrorCode::kUnsupported, "{} is not an array of characters", Place(path));
  }
  Result<std::string> text = reader_->ReadString(at, static_cast<size_t>(layout.elements));
  if (!text) return Within(Place(path), text.error());
  return text;
}

Result<std::string> StructView::String(std::string_view path, size_t limit) const {
  const Result<KernelVa> pointer = Pointer(path);
  if (!pointer) return tl::unexpected<Error>(pointer.error());
  if (pointer->value() == 0) return std::string();
  Result<std::string> text = reader_->ReadString(*pointer, limit);
  if (!text) return Within(Place(path), text.error());
  return text;
}

Status WalkList(KernelReader& reader, KernelVa head, size_t budget,
                const std::function<bool(KernelVa)>& visit) {
  std::unordered_set<uint64_t> seen;
  KernelVa node = head;
  for (size_t visited = 0;; ++visited) {
    // list_head is {next, prev} in every kernel.
    const Result<uint64_t> next = reader.ReadU64(node);
    if (!next) {
      return Within(fmt::format("list at {:#x}: element {}", head.value(), visited), next.error());
    }
    node = KernelVa(*next);
    if (node == head) return {};
    if (*next == 0) {
      return Fail(ErrorCode::kMalformed, "list at {:#x}: element {} is null", head.value(),
                  visited);
    }
    if (!seen.insert(*next).second) {
      return Fail(ErrorCode::kMalformed, "list at {:#x} runs in a circle at {:#x}", head.value(),
                  *next);
    }
    if (visited == budget) {
      return Fail(ErrorCode::kLimit, "list at {:#x} has more than {} elements", head.value(),
                  budget);
    }
    if (!visit(node)) return {};
  }
}

Status WalkList(KernelReader& reader, const TypeSource& types, KernelVa head,
                const std::string& type, std::string_view link, size_t budget,
                const std::function<bool(const StructView&)>& visit) {
  const Result<MemberLayout> layout = types.Member(type, link);
  if (!layout) return tl::unexpected<Error>(layout.error());
  const uint64_t offset = layout->bit_offset / 8;
  return WalkList(reader, head, budget, [&](KernelVa node) {
    // Modulo 2^64: a node below its offset gives an address that cannot be read.
    return visit(StructView(reader, types, KernelVa(node.value() - offset), type));
  });
}

}  // namespace dmaudit
