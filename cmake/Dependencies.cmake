# Everything comes from the distribution, but for hiredis where that is older than 1.1: `./dev deps` then builds it
# into .deps/hiredis, which is looked at first.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
if(LARDER_BUILD_SERVER)
  include(ServerDependencies)
endif()
