// What is done to one Redis that replicas use.
#ifndef LARDER_TESTS_CHAOS_SERVER_FAULTS_H_
#define LARDER_TESTS_CHAOS_SERVER_FAULTS_H_

#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "tests/chaos/random.h"
#include "tests/support/redis_server.h"

namespace larder::chaos {

struct ServerFault {
  std::string_view name;
  // Leaves the server running and healed, or says why it does not. Blocks for as long as it takes, 2 s at most.
  absl::Status (*make)(RedisServer&, Random&);
};

// Those that leave it the same server, with the data that it has.
std::span<const ServerFault> DataFaults();

// Those that stop it, or start it again.
std::span<const ServerFault> ProcessFaults();

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_SERVER_FAULTS_H_
