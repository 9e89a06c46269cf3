// SPDX-License-Identifier: GPL-2.0-or-later
// What the files of hostile inputs share: a row is a lie and what must come of it.
#ifndef DMAUDIT_TESTS_HOSTILE_LIES_H_
#define DMAUDIT_TESTS_HOSTILE_LIES_H_

#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "hostile/hostile_inputs.h"

namespace dmaudit::test {

template <typename T>
struct Lie {
  std::string_view name;
  std::function<void(T&)> tell;
  std::string_view outcome;
};

// One input for each lie, told of a copy of `good`: an image with `bytes`, bytes, or the files of a
// split dump.
template <typename T>
void Add(std::string_view container, const T& good, const std::vector<KnownPage>& pages,
         const std::vector<Lie<T>>& lies, std::vector<HostileInput>& inputs) {
  for (const Lie<T>& lie : lies) {
    T image = good;
    lie.tell(image);
    HostileInput input{
        std::string(container) + ": " + std::string(lie.name), {}, pages, lie.outcome};
    if constexpr (requires { image.bytes; }) {
      input.files.push_back(std::move(image.bytes));
    } else if constexpr (std::is_same_v<T, std::vector<std::byte>>) {
      input.files.push_back(std::move(image));
    } else {
      for (auto& part : image) input.files.push_back(std::move(part.bytes));
    }
    inputs.push_back(std::move(input));
  }
}

void AddElf(std::vector<HostileInput>& inputs);
void AddKdump(std::vector<HostileInput>& inputs);
void AddBombs(std::vector<HostileInput>& inputs);  // pages that decode to more than a page
void AddFlattened(std::vector<HostileInput>& inputs);
void AddSplit(std::vector<HostileInput>& inputs);
void AddLime(std::vector<HostileInput>& inputs);
void AddAvml(std::vector<HostileInput>& inputs);

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_HOSTILE_LIES_H_
