// SPDX-License-Identifier: GPL-2.0-or-later
// A MachineScene and what is discovered in it.
#ifndef DMAUDIT_TESTS_SUPPORT_MACHINE_LOOK_H_
#define DMAUDIT_TESTS_SUPPORT_MACHINE_LOOK_H_

#include <doctest/doctest.h>

#include <functional>

#include "support/machine_scene.h"

namespace dmaudit::test {

// Builds a scene, lets `before` turn knobs and `after` change the built dump, and looks at it.
struct Look {
  explicit Look(const std::function<void(MachineScene&)>& before = nullptr,
                const std::function<void(MachineScene&)>& after = nullptr) {
    if (before) before(scene);
    scene.Build();
    if (after) after(scene);
    Result<MachineState> found = scene.Discover();
    REQUIRE_MESSAGE(found, (found ? "" : found.error().message));
    state = *std::move(found);
  }
  const UnitState& unit() const {
    REQUIRE(state.units.size() == 1);
    return state.units[0];
  }
  const std::vector<Diagnostic>& diagnostics() const { return scene.sink.diagnostics(); }

  MachineScene scene;
  MachineState state;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_MACHINE_LOOK_H_
