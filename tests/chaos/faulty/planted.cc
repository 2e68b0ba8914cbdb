// The bug that this process has been given by name.
#include "core/planted.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace larder {
namespace {

constexpr std::array<std::pair<std::string_view, Bug>, 11> kBugs = {{
    {"", Bug::kNone},
    {"no-fill-check", Bug::kNoFillCheck},
    {"no-flush", Bug::kNoFlush},
    {"ping-renews", Bug::kPingRenews},
    {"wall-clock", Bug::kWallClock},
    {"epoch-past-gap", Bug::kEpochPastGap},
    {"no-sweep-fence", Bug::kNoSweepFence},
    {"generation-ignored", Bug::kGenerationIgnored},
    {"no-dirty-mark", Bug::kNoDirtyMark},
    {"joins-older-flight", Bug::kJoinsOlderFlight},
    {"always-miss", Bug::kAlwaysMiss},
}};

Bug FromEnvironment() {
  const char* const name = std::getenv("LARDER_PLANTED_BUG");
  for (const auto& [known, bug] : kBugs) {
    if (name != nullptr && known == name) return bug;
  }
  // A test that asks for what there is not must not pass for having found nothing.
  std::fprintf(stderr, "larderd-faulty: LARDER_PLANTED_BUG names no bug\n");
  std::_Exit(2);
}

const std::atomic<int64_t>* MapWallStep() {
  const char* const path = std::getenv("LARDER_WALL_STEP");
  const int fd = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
  void* memory = MAP_FAILED;
  if (fd >= 0) {
    memory = ::mmap(nullptr, sizeof(std::atomic<int64_t>), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
  }
  return memory == MAP_FAILED ? nullptr : static_cast<const std::atomic<int64_t>*>(memory);
}

}  // namespace

bool Planted(Bug bug) {
  static const Bug planted = FromEnvironment();
  return planted == bug;
}

int64_t PlantedStepNanos() {
  if (!Planted(Bug::kWallClock)) return 0;
  static const std::atomic<int64_t>* const step = MapWallStep();
  return step == nullptr ? 0 : step->load();
}

}  // namespace larder
