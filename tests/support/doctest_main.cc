// SPDX-License-Identifier: GPL-2.0-or-later
// Both: the second follows from the first only where the header is read for the first time, and it
// may be precompiled.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
