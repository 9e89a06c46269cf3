# SPDX-License-Identifier: GPL-2.0-or-later
# -DDMAUDIT_SANITIZE=ON: AddressSanitizer and UndefinedBehaviorSanitizer, any report ends the program.
option(DMAUDIT_SANITIZE "build with ASan and UBSan" OFF)
if(DMAUDIT_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)  # false alarms in instrumented code; other builds keep the warning
  endif()
endif()
if(DMAUDIT_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
