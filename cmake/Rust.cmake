# The target erne_rs: the static library of rust/, built by cargo as it is locked. All presets share one
# cargo target directory, because a clean build takes minutes; cargo itself keeps parallel builds apart.

set(ERNE_RUST_MINIMUM 1.87)

# Finds a cargo whose rustc beside it is new enough: the first one on the path may be an old Debian one.
function(erne_find_cargo)
  set(seen "")
  find_program(on_path cargo NO_CACHE)
  foreach(cargo ${on_path} $ENV{HOME}/.cargo/bin/cargo /usr/local/bin/cargo /usr/bin/cargo)
    get_filename_component(folder ${cargo} DIRECTORY)
    if(NOT EXISTS ${cargo} OR NOT EXISTS ${folder}/rustc)
      continue()
    endif()
    execute_process(COMMAND ${folder}/rustc --version OUTPUT_VARIABLE version ERROR_QUIET)
    if(version MATCHES "^rustc ([0-9.]+)" AND CMAKE_MATCH_1 VERSION_GREATER_EQUAL ERNE_RUST_MINIMUM)
      set(ERNE_CARGO ${cargo} CACHE FILEPATH "cargo, with its rustc in the same folder")
      return()
    endif()
    string(STRIP "${version}" version)
    string(APPEND seen "\n  ${folder}: ${version}")
  endforeach()
  message(FATAL_ERROR "No rustc >= ${ERNE_RUST_MINIMUM} with a cargo beside it; found:${seen}\n"
    "Debian 12: apt-get install cargo-web rustc-web. Or set -DERNE_CARGO=/path/to/cargo.")
endfunction()

if(NOT ERNE_CARGO)
  erne_find_cargo()
endif()
get_filename_component(rust_tools ${ERNE_CARGO} DIRECTORY)

set(rust_source ${PROJECT_SOURCE_DIR}/rust)
set(rust_target ${PROJECT_SOURCE_DIR}/build/rust)
set(rust_library ${rust_target}/release/liberne_rs.a)
file(GLOB_RECURSE rust_sources CONFIGURE_DEPENDS ${rust_source}/src/*.rs)

# RUSTC_BOOTSTRAP: rust/src/bounded.rs uses one unstable feature, and says why.
set(cargo ${CMAKE_COMMAND} -E env RUSTC=${rust_tools}/rustc RUSTC_BOOTSTRAP=erne_rs ${ERNE_CARGO})
set(cargo_options --release --locked --quiet --manifest-path ${rust_source}/Cargo.toml --target-dir ${rust_target})

add_custom_command(
  OUTPUT ${rust_library}
  COMMAND ${cargo} build ${cargo_options}
  COMMAND ${CMAKE_COMMAND} -E touch ${rust_library}
  DEPENDS ${rust_sources} ${rust_source}/Cargo.toml ${rust_source}/Cargo.lock
  COMMENT "Building rust/ with ${ERNE_CARGO}"
  VERBATIM)
add_custom_target(erne_rs_build DEPENDS ${rust_library})

add_library(erne_rs STATIC IMPORTED GLOBAL)
add_dependencies(erne_rs erne_rs_build)
set_target_properties(erne_rs PROPERTIES IMPORTED_LOCATION ${rust_library})
target_include_directories(erne_rs INTERFACE ${rust_source})
target_link_libraries(erne_rs INTERFACE Threads::Threads ${CMAKE_DL_LIBS} m)

# Its own tests, which need nothing that the build has not fetched; once is enough.
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_test(NAME rust COMMAND ${cargo} test --lib --offline ${cargo_options})
endif()
