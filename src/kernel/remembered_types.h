// SPDX-License-Identifier: GPL-2.0-or-later
// Layouts that were asked for once. Every read of a member asks for its layout, and finding one
// among the types of a kernel takes longer than the read: a machine with thousands of devices asks
// for the same few hundred again and again.
#ifndef DMAUDIT_KERNEL_REMEMBERED_TYPES_H_
#define DMAUDIT_KERNEL_REMEMBERED_TYPES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "kernel/types.h"

namespace dmaudit {

// Not for several threads at once.
class RememberedTypes : public TypeSource {
 public:
  explicit RememberedTypes(std::unique_ptr<const TypeSource> types);

  const std::string& from() const override { return types_->from(); }
  Result<MemberLayout> Member(std::string_view type, std::string_view path) const override;
  Result<uint64_t> SizeOf(std::string_view type) const override;

 private:
  template <typename T>
  using ByName = std::map<std::string, T, std::less<>>;

  std::unique_ptr<const TypeSource> types_;
  mutable ByName<ByName<Result<MemberLayout>>> members_;  // type, path
  mutable ByName<Result<uint64_t>> sizes_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_REMEMBERED_TYPES_H_
