// SPDX-License-Identifier: GPL-2.0-or-later
// Typed reads of kernel objects: members by name, with errors that name type, member and address.
#ifndef DMAUDIT_KERNEL_TYPE_VIEW_H_
#define DMAUDIT_KERNEL_TYPE_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/address.h"
#include "base/result.h"
#include "kernel/kernel_reader.h"
#include "kernel/types.h"

namespace dmaudit {

// One structure at one address. Reads only the bytes of the members asked for.
class StructView {
 public:
  // `reader` and `types` outlive the view.
  StructView(KernelReader& reader, const TypeSource& types, KernelVa address, std::string type)
      : reader_(&reader), types_(&types), address_(address), type_(std::move(type)) {}

  KernelVa address() const { return address_; }
  const std::string& type() const { return type_; }

  // Whether the layout has the member (a kernel without it is a variant, not a damage).
  bool Has(std::string_view path) const;
  // Integer, enumeration, bit field or pointer of at most 64 bits, zero-extended.
  Result<uint64_t> Integer(std::string_view path) const;
  // The first of several spellings that the layout has; kNotFound names the first.
  Result<uint64_t> Integer(std::initializer_list<std::string_view> paths) const;
  Result<KernelVa> Pointer(std::string_view path) const;
  // Address of a member.
  Result<KernelVa> AddressOf(std::string_view path) const;
  // A structure embedded in this one.
  Result<StructView> Struct(std::string_view path) const;
  // A character array member up to its NUL.
  Result<std::string> Text(std::string_view path) const;
  // The string that a pointer member leads to, at most `limit` bytes; empty for a null pointer.
  Result<std::string> String(std::string_view path, size_t limit) const;

  // "intel_iommu.cap @ 0xffff888003a01018": what a claim names as its place. The address is that of
  // the member, of the structure where the layout has no such member.
  std::string Place(std::string_view path) const;

 private:
  Result<std::pair<KernelVa, MemberLayout>> Locate(std::string_view path) const;

  KernelReader* reader_;
  const TypeSource* types_;
  KernelVa address_;
  std::string type_;
};

// Calls `visit` for the address of every list_head linked into the list at `head`, in order, until
// it returns false. An error when a link is null or unreadable, when the list runs into itself
// without coming back to its head, or after `budget` elements; what was visited before stays
// visited.
Status WalkList(KernelReader& reader, KernelVa head, size_t budget,
                const std::function<bool(KernelVa)>& visit);

// WalkList over the structures in which member `link` of `type` is the list_head.
Status WalkList(KernelReader& reader, const TypeSource& types, KernelVa head,
                const std::string& type, std::string_view link, size_t budget,
                const std::function<bool(const StructView&)>& visit);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_TYPE_VIEW_H_
