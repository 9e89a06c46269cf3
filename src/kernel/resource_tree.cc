// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/resource_tree.h"

#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/ranges.h"
#include "kernel/type_view.h"

namespace dmaudit {
namespace {

// Resource names are device names and short titles.
constexpr size_t kMaxName = 128;

}  // namespace

Result<ResourceTree> ReadResourceTree(KernelReader& reader, const TypeSource& types, KernelVa root,
                                      DiagnosticSink& sink) {
  struct Pending {
    KernelVa address;
    std::optional<size_t> parent;
  };
  const StructView top(reader, types, root, "resource");
  const Result<KernelVa> first = top.Pointer("child");
  if (!first) return Within("iomem_resource", first.error());
  ResourceTree tree;
  tree.complete = true;
  const auto damaged = [&](const std::string& message) {
    sink.Note("kernel.iomem", "iomem_resource: {}", message);
    tree.complete = false;
  };
  std::unordered_set<uint64_t> seen{root.value()};
  std::vector<Pending> pending{{*first, std::nullopt}};
  while (!pending.empty()) {
    const Pending next = pending.back();
    pending.pop_back();
    if (next.address.value() == 0) continue;
    if (!seen.insert(next.address.value()).second) {
      damaged(fmt::format("struct resource {:#x} is linked twice", next.address.value()));
      continue;
    }
    if (seen.size() > kMaxResources) {
      damaged(fmt::format("more than {} resources", kMaxResources));
      break;
    }
    const StructView view(reader, types, next.address, "resource");
    const Result<uint64_t> start = view.Integer("start");
    const Result<uint64_t> end = view.Integer("end");
    const Result<KernelVa> sibling = view.Pointer("sibling");
    const Result<KernelVa> child = view.Pointer("child");
    bool readable = true;
    for (const auto* failed : {&start, &end}) {
      if (*failed) continue;
      damaged(failed->error().message);
      readable = false;
      break;
    }
    if (readable) {
      for (const auto* failed : {&sibling, &child}) {
        if (*failed) continue;
        damaged(failed->error().message);
        break;
      }
    }
    if (sibling) pending.push_back({*sibling, next.parent});
    if (!readable) continue;
    if (*end < *start) {
      damaged(fmt::format("struct resource {:#x} ends at {:#x} before it begins at {:#x}",
                          next.address.value(), *end, *start));
      continue;
    }
    const Result<std::string> name = view.String("name", kMaxName);
    if (!name) damaged(name.error().message);
    tree.resources.push_back({{PhysAddr(*start), PhysAddr(*end)},
                              name ? *name : std::string(),
                              next.parent,
                              next.address});
    if (child) pending.push_back({*child, tree.resources.size() - 1});
  }
  return tree;
}

namespace {

template <typename Condition>
std::vector<PhysRange> RangesNamed(const ResourceTree& tree, const Condition& condition) {
  std::vector<PhysRange> ranges;
  for (const Resource& resource : tree.resources) {
    if (condition(std::string_view(resource.name))) ranges.push_back(resource.range);
  }
  return JoinRanges(std::move(ranges));
}

}  // namespace

std::vector<PhysRange> SystemRam(const ResourceTree& tree) {
  return RangesNamed(tree, [](std::string_view name) {
    return name == "System RAM" || name.starts_with("System RAM (");
  });
}

std::vector<PhysRange> FirmwareReserved(const ResourceTree& tree) {
  return RangesNamed(
      tree, [](std::string_view name) { return name == "Reserved" || name == "reserved"; });
}

}  // namespace dmaudit
