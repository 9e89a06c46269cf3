# SPDX-License-Identifier: GPL-2.0-or-later
# -DDMAUDIT_PCH=ON: the libraries' headers that most files include are read once for all of them, which is a third of the time
# of a build. It hides an include that is missing: one build at least has to do without.
option(DMAUDIT_PCH "precompile the headers of libraries" OFF)

# dmaudit_precompile(TARGET [FROM ANOTHER] HEADERS ...): the headers below and those named, or what ANOTHER has. Both must
# have the same compile options.
function(dmaudit_precompile TARGET)
  cmake_parse_arguments(ARG "" "FROM" "HEADERS" ${ARGN})
  if(NOT DMAUDIT_PCH)
    return()
  endif()
  if(ARG_FROM)
    target_precompile_headers(${TARGET} REUSE_FROM ${ARG_FROM})
  else()
    target_precompile_headers(${TARGET} PRIVATE <algorithm> <array> <functional> <map> <memory> <optional> <span> <string>
                              <string_view> <utility> <vector> <fmt/format.h> <tl/expected.hpp> ${ARG_HEADERS})
  endif()
endfunction()
