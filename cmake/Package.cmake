# What `cmake --install` puts where, so that others build with find_package(larder) or pkg-config.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# Symbols of larder_NAME are seen from outside a shared library only where LARDER_EXPORT says so.
function(larder_hide_symbols name)
  set_target_properties(larder_${name} PROPERTIES
    POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON DEFINE_SYMBOL "")
endfunction()

# Installs larder_NAME as larder::NAME. What is no PACKAGED library is installed only where a static one needs it.
function(larder_install_library name)
  get_target_property(type larder_${name} TYPE)
  if(BUILD_SHARED_LIBS AND type STREQUAL STATIC_LIBRARY)
    return()
  endif()
  set_target_properties(larder_${name} PROPERTIES
    EXPORT_NAME ${name} VERSION "${PROJECT_VERSION}" SOVERSION "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}"
    INSTALL_RPATH "\$ORIGIN") # they find one another, wherever the prefix is
  install(TARGETS larder_${name} EXPORT larder_targets
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endfunction()

# Installs the generated library larder_NAME, its headers, and, below share/larder/proto, what it was generated from.
function(larder_install_proto name)
  target_include_directories(larder_${name} SYSTEM PUBLIC "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  larder_install_library(${name})
  install(DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/${name}/larder" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING PATTERN "*.pb.h")
  install(DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/larder/v1" DESTINATION "${CMAKE_INSTALL_DATADIR}/larder/proto/larder")
endfunction()

# A static library brings what it stands on; a shared one has it linked already.
set(LARDER_PC_LIBS "-llarder_client")
set(LARDER_PC_REQUIRES "absl_any_invocable, absl_function_ref, absl_status, absl_statusor")
if(NOT BUILD_SHARED_LIBS)
  string(APPEND LARDER_PC_LIBS " -llarder_core -llarder_proto_grpc -llarder_proto")
  string(APPEND LARDER_PC_REQUIRES ", absl_cord, absl_hash, absl_inlined_vector, absl_strings, grpc++, protobuf, libcrypto")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/larder-client.pc.in" "${PROJECT_BINARY_DIR}/larder-client.pc" @ONLY)
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/larder-config.cmake.in"
  "${PROJECT_BINARY_DIR}/larder-config.cmake" INSTALL_DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/larder")
# Before 1.0 a minor release may change what callers see.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/larder-config-version.cmake" COMPATIBILITY SameMinorVersion)

install(EXPORT larder_targets NAMESPACE larder:: DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/larder")
install(FILES "${PROJECT_BINARY_DIR}/larder-config.cmake" "${PROJECT_BINARY_DIR}/larder-config-version.cmake"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/larder")
install(FILES "${PROJECT_BINARY_DIR}/larder-client.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
