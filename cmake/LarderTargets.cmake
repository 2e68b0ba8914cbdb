include(Fence)

# One target a folder. A target sees only the headers of the folders it names as DEPS: each folder is reached through
# an include root of its own that holds nothing else, so a wrong include does not build.

add_library(larder_warnings INTERFACE)
target_compile_options(larder_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wcast-qual -Wformat=2 -Wundef
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety -Wextra-semi>
  # GCC 12 sees overlaps in std::string that are not there (its bug 105651), mended in 13.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  $<$<BOOL:${LARDER_WERROR}>:-Werror>)
add_library(larder_options INTERFACE)
target_link_libraries(larder_options INTERFACE larder_warnings)
# What the tests' own sources are built with: not optimised and without the checks for undefined behaviour, which double the
# time that they take to build and find it in what they test all the same.
add_library(larder_test_options INTERFACE)
target_link_libraries(larder_test_options INTERFACE larder_warnings)
if(LARDER_SANITIZE)
  set(larder_recovery -fno-omit-frame-pointer -fno-sanitize-recover=all)
  string(REPLACE ",undefined" "" larder_test_sanitize "${LARDER_SANITIZE}")
  target_compile_options(larder_options INTERFACE -fsanitize=${LARDER_SANITIZE} ${larder_recovery})
  target_compile_options(larder_test_options INTERFACE -O0 -fsanitize=${larder_test_sanitize} ${larder_recovery})
  target_link_options(larder_options INTERFACE -fsanitize=${LARDER_SANITIZE})
  target_link_options(larder_test_options INTERFACE -fsanitize=${LARDER_SANITIZE})
endif()

# Makes ${root}/<path of the folder in the source tree> point at the folder, and returns ${root}.
function(larder_include_root result folder)
  file(RELATIVE_PATH relative "${PROJECT_SOURCE_DIR}" "${folder}")
  string(REPLACE "/" "_" name "${relative}")
  set(root "${PROJECT_BINARY_DIR}/include/${name}")
  get_filename_component(parent "${root}/${relative}" DIRECTORY)
  file(MAKE_DIRECTORY "${parent}")
  file(CREATE_LINK "${folder}" "${root}/${relative}" SYMBOLIC)
  set(${result} "${root}" PARENT_SCOPE)
endfunction()

# larder_library(NAME SOURCES ... [DEPS ...] [PRIVATE_DEPS ...] [ALLOW ...]): the current folder as target larder_NAME,
# alias larder::NAME. DEPS are needed by its headers, PRIVATE_DEPS by its sources alone. ALLOW names fenced libraries
# (see Fence.cmake) whose headers it may include although it links them only through others. PACKAGED: it is installed for
# others to link, and a shared library where BUILD_SHARED_LIBS says so. PRIVATE_HEADERS: the folder's headers are for itself, and
# for those who link larder::NAME_internals.
function(larder_library name)
  cmake_parse_arguments(ARG "PACKAGED;PRIVATE_HEADERS" "" "SOURCES;DEPS;PRIVATE_DEPS;ALLOW" ${ARGN})
  if(ARG_PACKAGED)
    add_library(larder_${name} ${ARG_SOURCES})
  else()
    add_library(larder_${name} STATIC ${ARG_SOURCES})
  endif()
  add_library(larder::${name} ALIAS larder_${name})
  larder_include_root(root "${CMAKE_CURRENT_SOURCE_DIR}")
  if(ARG_PRIVATE_HEADERS)
    target_include_directories(larder_${name} PRIVATE "${root}")
    add_library(larder_${name}_internals INTERFACE)
    add_library(larder::${name}_internals ALIAS larder_${name}_internals)
    target_include_directories(larder_${name}_internals INTERFACE "${root}")
  else()
    target_include_directories(larder_${name} PUBLIC "$<BUILD_INTERFACE:${root}>")
  endif()
  target_link_libraries(larder_${name} PUBLIC ${ARG_DEPS} PRIVATE
    $<BUILD_INTERFACE:larder_options> ${ARG_PRIVATE_DEPS})
  larder_fence(larder_${name} LINKS ${ARG_DEPS} ${ARG_PRIVATE_DEPS} ALLOW ${ARG_ALLOW})
endfunction()

# Builds every test that has the label `concurrency`.
add_custom_target(larder_concurrency_tests)

# Builds what the tests with the label `timing` start, in whatever language they are.
add_custom_target(larder_timing_tests)

# larder_test(NAME SOURCES ... DEPS ... [LABELS ...]): a GoogleTest program. Label `redis`: it starts Redis servers of
# its own. Label `concurrency`: it is worth running under ThreadSanitizer.
function(larder_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  larder_include_root(root "${CMAKE_CURRENT_SOURCE_DIR}")
  target_include_directories(${name} PRIVATE "${root}")
  target_link_libraries(${name} PRIVATE larder_test_options ${ARG_DEPS} GTest::gmock_main)
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  if("concurrency" IN_LIST ARG_LABELS)
    add_dependencies(larder_concurrency_tests ${name})
  endif()
  if("timing" IN_LIST ARG_LABELS)
    add_dependencies(larder_timing_tests ${name})
  endif()
endfunction()
