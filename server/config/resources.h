// What the machine, or the container, lets this process use.
#ifndef LARDER_SERVER_CONFIG_RESOURCES_H_
#define LARDER_SERVER_CONFIG_RESOURCES_H_

#include <cstdint>
#include <string>

namespace larder {

struct Resources {
  int cpus = 1;
  int64_t memory_bytes = int64_t{1} << 30;  // where nothing tells it: 1 GiB
};

// The cgroup's limits (version 2 or 1, its parents' included) where there are any and they are lower than the
// machine's. A CPU quota is rounded up.
Resources DetectResources();

// The same for a machine of `hardware_cpus` processors whose /proc and /sys lie under `root`, which ends without a
// slash.
Resources DetectResources(const std::string& root, int hardware_cpus);

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_RESOURCES_H_
