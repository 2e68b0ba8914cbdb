// Serves the bookings database as an origin, until it is told to end.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "client/examples/bookings/database.h"
#include "client/examples/bookings/generator.h"
#include "client/examples/bookings_origin/bookings_origin.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace bookings {
namespace {

constexpr std::chrono::seconds kDrain(5);

int Fail(const std::string& what) {
  std::fprintf(stderr, "bookings_origin: %s\n", what.c_str());
  return EXIT_FAILURE;
}

int Serve(const std::string& listen, const std::string& path) {
  // Before any thread is started, so that every one of them leaves these signals to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Database database(path);
  BookingsOrigin origin(&database);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&origin);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) return Fail("cannot listen on " + listen);
  std::fprintf(stderr, "bookings_origin: serves on port %d\n", port);

  int signal = 0;
  sigwait(&signals, &signal);
  server->Shutdown(std::chrono::system_clock::now() + kDrain);
  return EXIT_SUCCESS;
}

int Main(int argc, char** argv) {
  std::string listen = "127.0.0.1:50061";
  std::string path = "bookings.db";
  int64_t rows = 0;
  CLI::App app("The bookings database as an origin of Larder", "bookings_origin");
  app.add_option("--listen", listen, "Address and port; port 0: a free one")->capture_default_str();
  app.add_option("--database", path, "The SQLite file")->capture_default_str();
  app.add_option("--generate", rows, "Make the file first, with about so many rows")
      ->check(CLI::Range(int64_t{1000}, int64_t{100000000}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : 2;
  }
  // SQLite would make an empty one, or add to what is there.
  const bool is_there = std::filesystem::exists(path);
  if (rows == 0 && !is_there) return Fail("no database at " + path + ": --generate makes one");
  if (rows != 0 && is_there) return Fail("there is a database at " + path + " already");
  if (rows != 0) {
    constexpr uint64_t kSeed = 1;
    const absl::StatusOr<Population> population = Generate(path, rows, kSeed);
    if (!population.ok()) return Fail(population.status().ToString());
  }
  return Serve(listen, path);
}

}  // namespace
}  // namespace bookings

int main(int argc, char** argv) { return bookings::Main(argc, argv); }
