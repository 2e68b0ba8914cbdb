# What the server and the command line tool stand on besides.
find_package(PkgConfig REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)

set(LARDER_HIREDIS_PREFIX "${PROJECT_SOURCE_DIR}/.deps/hiredis" CACHE PATH "Where ./dev deps puts hiredis")
if(EXISTS "${LARDER_HIREDIS_PREFIX}/lib/pkgconfig/hiredis.pc")
  set(ENV{PKG_CONFIG_PATH} "${LARDER_HIREDIS_PREFIX}/lib/pkgconfig:$ENV{PKG_CONFIG_PATH}")
endif()
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis>=1.1 hiredis_ssl>=1.1)
# A static hiredis does not bring what its TLS part stands on.
target_link_libraries(PkgConfig::HIREDIS INTERFACE OpenSSL::SSL)
