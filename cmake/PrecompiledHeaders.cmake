# SPDX-License-Identifier: GPL-2.0-or-later
# -DDMAUDIT_PCH=ON, as the presets have it: the libraries' headers that most files include are read once for all of them, which
# halves the time of a build. It hides an include that is missing: tests/includes_test.py does not.
option(DMAUDIT_PCH "precompile the headers of libraries" OFF)

# dmaudit_precompile(TARGET OWNER [HEADER...]): the headers below and those named, compiled for OWNER, which comes first and
# has the compile options of all others.
function(dmaudit_precompile TARGET OWNER)
  if(NOT DMAUDIT_PCH)
    return()
  endif()
  if("${TARGET}" STREQUAL "${OWNER}")
    target_precompile_headers(${TARGET} PRIVATE <algorithm> <array> <functional> <map> <memory> <optional> <span> <string>
                              <string_view> <utility> <vector> <fmt/format.h> <tl/expected.hpp> ${ARGN})
  else()
    target_precompile_headers(${TARGET} REUSE_FROM ${OWNER})
  endif()
endfunction()
