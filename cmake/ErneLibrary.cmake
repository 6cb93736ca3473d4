# erne_library(<folder> <folder it may include>...)
#
# Makes the static library erne_<folder> of src/<folder>/*.cpp and, of the *_test.cpp beside them, one
# GoogleTest executable erne_<folder>_test. A folder of headers alone becomes an interface library.
function(erne_library folder)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*_test.cpp)
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cpp$")
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
  endif()
endfunction()

add_custom_target(unit_tests)  # every GoogleTest executable

# erne_test(<name> SOURCES <file>... LIBRARIES <target>...): one GoogleTest executable, one CTest entry.
# Tests find what the project ships through ERNE_SOURCE_DIR.
function(erne_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} GTest::gtest_main GTest::gmock)
  target_compile_definitions(${name} PRIVATE ERNE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS unit)
  add_dependencies(unit_tests ${name})
endfunction()
