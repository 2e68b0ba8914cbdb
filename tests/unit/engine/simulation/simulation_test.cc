// Random interleavings of everything that the engine does. LARDER_SIMULATION_SEED=n tells the whole story of one walk;
// LARDER_SIMULATION_WALKS=n makes so many.
#include <cstdlib>
#include <iostream>
#include <string>

#include "gtest/gtest.h"
#include "tests/unit/engine/simulation/walk.h"

namespace larder::simulation {
namespace {

constexpr uint64_t kWalks = 10'000;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::stoull(text);
}

std::string History(uint64_t seed) {
  std::string history;
  Counts counts;
  Walk walk(seed, &counts, [&history](const std::string& line) { history += line + "\n"; });
  history += walk.Run() + "\n";
  return history;
}

// COHERENCE P1, P2, P3 and the rules that keep them.
TEST(SimulationTest, NothingOlderFollowsAWriteOrAnInvalidation) {
  if (const uint64_t seed = FromEnvironment("LARDER_SIMULATION_SEED", 0); seed != 0) {
    std::cout << History(seed);
    return;
  }
  const uint64_t walks = FromEnvironment("LARDER_SIMULATION_WALKS", kWalks);
  Counts counts;
  for (uint64_t seed = 1; seed <= walks; ++seed) {
    const std::string violation = Walk(seed, &counts, nullptr).Run();
    ASSERT_EQ(violation, "") << "seed " << seed << ":\n" << History(seed);
  }
  std::cout << "seeds 1 to " << walks << "\n";
  // Each of these happened, or the walks would prove nothing about it.
  for (const char* what : {"fresh hits",
                           "stale hits",
                           "degraded hits",
                           "hits of what is absent",
                           "hits from near",
                           "hits from store",
                           "hits from origin",
                           "misses",
                           "leases to refresh",
                           "leases of what is missing",
                           "leases held by others",
                           "leases released",
                           "misses with the right to fill",
                           "fills",
                           "fills aborted",
                           "sets",
                           "sets aborted",
                           "touches",
                           "soft invalidations",
                           "hard invalidations",
                           "wakes",
                           "lost wakes",
                           "faults",
                           "failed gets",
                           "sweeps",
                           "swept"}) {
    std::cout << "  " << what << ": " << counts[what] << "\n";
    EXPECT_GT(counts[what], 0u) << what;
  }
}

}  // namespace
}  // namespace larder::simulation
