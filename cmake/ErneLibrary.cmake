# Presets compile a folder's sources as a few units (CMAKE_UNITY_BUILD), which parses far fewer
# headers: no two of them may give one name, in namespaces without a name either, to two things. The preset
# fuzz compiles each source that its targets need by itself. Who edits for hours may like that as well:
# cmake --preset release -DCMAKE_UNITY_BUILD=OFF.

# erne_library(<folder> <folder it may include>...)
#
# Makes the static library erne_<folder> of the *.cpp in src/<folder> and the folders inside it and,
# of the *_test.cpp beside them, one GoogleTest executable erne_<folder>_test. A folder of headers
# alone becomes an interface library. Which sources a folder's library has may be said by a sources.cmake
# in it instead.
function(erne_library folder)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
  file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*_test.cpp)
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cpp$")
  include(${CMAKE_CURRENT_SOURCE_DIR}/${folder}/sources.cmake OPTIONAL)
  list(TRANSFORM ARGN PREPEND erne_ OUTPUT_VARIABLE libraries)

  if(sources)
    add_library(erne_${folder} STATIC ${sources})
    target_include_directories(erne_${folder} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(erne_${folder} PUBLIC ${libraries})
  else()
    add_library(erne_${folder} INTERFACE)
    target_include_directories(erne_${folder} INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(erne_${folder} INTERFACE ${libraries})
  endif()

  if(tests)
    erne_test(erne_${folder}_test SOURCES ${tests} LIBRARIES erne_${folder})
    set_tests_properties(erne_${folder}_test PROPERTIES LABELS unit)
    add_dependencies(unit_tests erne_${folder}_test)
  endif()
endfunction()

# Two kinds of GoogleTest executables, by target and by CTest label: a folder's own, and the suites of
# tests/ that cross folders.
add_custom_target(unit_tests)
add_custom_target(suites)

# Parsing GoogleTest costs more than most tests do, so it is parsed once for all of them. ccache keeps
# what includes it only with CCACHE_SLOPPINESS=pch_defines,time_macros (tools/dev sets it) and a
# compiler that preprocesses the marker of a precompiled header.
file(WRITE ${CMAKE_BINARY_DIR}/test_headers.cpp "")
add_library(erne_test_headers OBJECT ${CMAKE_BINARY_DIR}/test_headers.cpp)
target_link_libraries(erne_test_headers PRIVATE GTest::gtest_main GTest::gmock)
target_precompile_headers(erne_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
target_compile_options(erne_test_headers PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)

# Sanitized code builds in half the time at -O0 (preset dev), but what computes would then be tested
# for an hour.
function(erne_optimise_for_tests)  # target...
  foreach(target ${ARGV})
    target_compile_options(${target} PRIVATE $<$<CONFIG:Debug>:-O1>)
  endforeach()
endfunction()

# erne_test(<name> [COMPUTES] SOURCES <file>... LIBRARIES <target>...): one GoogleTest executable, one
# CTest entry. Tests find what the project ships through ERNE_SOURCE_DIR. COMPUTES: optimised,
# as erne_optimise_for_tests does.
function(erne_test name)
  cmake_parse_arguments(ARG "COMPUTES" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} GTest::gtest_main GTest::gmock)
  target_compile_definitions(${name} PRIVATE ERNE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(ARG_COMPUTES)
    erne_optimise_for_tests(${name})
  else()  # a precompiled header is good for one set of options only
    target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
    target_precompile_headers(${name} REUSE_FROM erne_test_headers)
  endif()
  add_test(NAME ${name} COMMAND ${name})
endfunction()

# erne_suite(...): an erne_test of tests/.
function(erne_suite name)
  erne_test(${name} ${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS suite)
  add_dependencies(suites ${name})
endfunction()
