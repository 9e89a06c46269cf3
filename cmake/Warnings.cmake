# SPDX-License-Identifier: GPL-2.0-or-later
# Warnings are errors, with gcc and with clang.
add_library(dmaudit_warnings INTERFACE)
target_compile_options(dmaudit_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast
  -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align -Wimplicit-fallthrough -Werror)
