// SPDX-License-Identifier: GPL-2.0-or-later
#include "hostile/hostile_inputs.h"

#include "hostile/lies.h"

namespace dmaudit::test {

std::vector<HostileInput> HostileInputs() {
  std::vector<HostileInput> inputs;
  AddElf(inputs);
  AddKdump(inputs);
  AddBombs(inputs);
  AddFlattened(inputs);
  AddSplit(inputs);
  AddLime(inputs);
  AddAvml(inputs);
  return inputs;
}

}  // namespace dmaudit::test
