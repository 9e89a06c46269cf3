# SPDX-License-Identifier: GPL-2.0-or-later
# dmaudit_layer(NAME USES other layers... LIBRARIES third-party targets...): the folder src/NAME as one static library.
# The layers a folder may include are the ones it links; tests/layers_test.py holds the include lines against the same
# diagram.
function(dmaudit_layer NAME)
  cmake_parse_arguments(ARG "" "" "USES;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${NAME}/*.cc)
  if(NOT DMAUDIT_LIBDW)
    list(FILTER sources EXCLUDE REGEX "/libdw/")  # optional: everything that includes its headers
  endif()
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")  # the program is linked from the layer, not part of it
  add_library(dmaudit_${NAME} STATIC ${sources})
  target_include_directories(dmaudit_${NAME} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  foreach(layer IN LISTS ARG_USES)
    target_link_libraries(dmaudit_${NAME} PUBLIC dmaudit_${layer})
  endforeach()
  target_link_libraries(dmaudit_${NAME} PUBLIC ${ARG_LIBRARIES} PRIVATE dmaudit_warnings)
  dmaudit_precompile(dmaudit_${NAME} dmaudit_base)
endfunction()
