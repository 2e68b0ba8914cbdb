# The fence around other people's libraries: a folder may include the headers of those it links itself (or is allowed by
# name), and no others, although all of them lie in /usr/include. For each library, a folder of headers of the
# same names that hold nothing but an #error is put first on the include path of every target that may not use it.
# Our own folders need no such thing: see larder_include_root().

set(LARDER_FENCED grpc hiredis prometheus yaml-cpp microhttpd cli11 spdlog)

# What to glob for, below the folder in which the first of its headers is found.
set(LARDER_FENCE_HEADERS_grpc "grpcpp/*.h" "grpc++/*.h" "grpc/*.h")
set(LARDER_FENCE_HEADERS_hiredis "hiredis/*.h")
set(LARDER_FENCE_HEADERS_prometheus "prometheus/*.h")
set(LARDER_FENCE_HEADERS_yaml-cpp "yaml-cpp/*.h")
set(LARDER_FENCE_HEADERS_microhttpd "microhttpd.h")
set(LARDER_FENCE_HEADERS_cli11 "CLI/*.hpp")
set(LARDER_FENCE_HEADERS_spdlog "spdlog/*.h")
set(LARDER_FENCE_ROOT_OF_grpc "grpcpp/grpcpp.h")
set(LARDER_FENCE_ROOT_OF_hiredis "hiredis/hiredis.h")
set(LARDER_FENCE_ROOT_OF_prometheus "prometheus/registry.h")
set(LARDER_FENCE_ROOT_OF_yaml-cpp "yaml-cpp/yaml.h")
set(LARDER_FENCE_ROOT_OF_microhttpd "microhttpd.h")
set(LARDER_FENCE_ROOT_OF_cli11 "CLI/CLI.hpp")
set(LARDER_FENCE_ROOT_OF_spdlog "spdlog/spdlog.h")

# The targets that bring a library, as a regular expression.
set(LARDER_FENCE_LINKED_AS_grpc "^(gRPC::.*|larder(::|_)proto_grpc)$")
set(LARDER_FENCE_LINKED_AS_hiredis "^PkgConfig::HIREDIS$")
set(LARDER_FENCE_LINKED_AS_prometheus "^prometheus-cpp::.*$")
set(LARDER_FENCE_LINKED_AS_yaml-cpp "^yaml-cpp(::yaml-cpp)?$")
set(LARDER_FENCE_LINKED_AS_microhttpd "^PkgConfig::MICROHTTPD$")
set(LARDER_FENCE_LINKED_AS_cli11 "^CLI11::CLI11$")
set(LARDER_FENCE_LINKED_AS_spdlog "^spdlog::.*$")

# Written once in a build folder: they never change, and nothing that builds has read one.
function(larder_build_fence library)
  set(fence "${PROJECT_BINARY_DIR}/fence/${library}")
  if(EXISTS "${fence}.done")
    return()
  endif()
  find_path(root "${LARDER_FENCE_ROOT_OF_${library}}" HINTS "${LARDER_HIREDIS_PREFIX}/include" NO_CACHE)
  if(NOT root)
    if(LARDER_BUILD_SERVER)
      message(FATAL_ERROR "no ${LARDER_FENCE_ROOT_OF_${library}}")
    endif()
    file(MAKE_DIRECTORY "${fence}") # it is not on this machine, so nobody can include it
    return()
  endif()
  list(TRANSFORM LARDER_FENCE_HEADERS_${library} PREPEND "${root}/" OUTPUT_VARIABLE patterns)
  file(GLOB_RECURSE headers RELATIVE "${root}" ${patterns})
  if(NOT headers)
    message(FATAL_ERROR "no headers of ${library} below ${root}")
  endif()
  foreach(header ${headers})
    file(WRITE "${fence}/${header}"
      "#error \"${header}: this folder may not use ${library}; see cmake/Fence.cmake and tests/build/fence_test.py\"\n")
  endforeach()
  file(TOUCH "${fence}.done")
endfunction()

foreach(library ${LARDER_FENCED})
  larder_build_fence(${library})
endforeach()

# larder_fence(TARGET LINKS ... ALLOW ...): fences TARGET off from every library but those that bring LINKS, and ALLOW.
function(larder_fence target)
  cmake_parse_arguments(ARG "" "" "LINKS;ALLOW" ${ARGN})
  foreach(library ${ARG_ALLOW})
    if(NOT library IN_LIST LARDER_FENCED)
      message(FATAL_ERROR "${target} allows ${library}, which is not one of: ${LARDER_FENCED}")
    endif()
  endforeach()
  foreach(library ${LARDER_FENCED})
    set(links ${ARG_LINKS})
    list(FILTER links INCLUDE REGEX "${LARDER_FENCE_LINKED_AS_${library}}")
    if(NOT links AND NOT library IN_LIST ARG_ALLOW)
      target_include_directories(${target} BEFORE PRIVATE "${PROJECT_BINARY_DIR}/fence/${library}")
    endif()
  endforeach()
endfunction()
