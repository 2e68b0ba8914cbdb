#include "server/config/resources.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace larder {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

std::optional<std::string> FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

// The numbers of a file such as `cpu.max` ("150000 100000" or "max 100000"); `max` is no limit.
std::vector<int64_t> Numbers(const std::string& path) {
  std::istringstream words(FirstLine(path).value_or(""));
  std::vector<int64_t> numbers;
  for (std::string word; words >> word;) {
    int64_t number = kUnlimited;
    if (word != "max" && !(std::istringstream(word) >> number)) return {};
    numbers.push_back(number);
  }
  return numbers;
}

// A cgroup's folder and its parents', up to the root of the hierarchy: a limit on any of them binds.
std::vector<std::string> FoldersUpwards(const std::string& hierarchy, std::string path) {
  std::vector<std::string> folders;
  while (path.size() > 1) {
    folders.push_back(hierarchy + path);
    path.resize(path.rfind('/'));
  }
  folders.push_back(hierarchy);
  return folders;
}

struct Limits {
  int64_t milli_cpus = kUnlimited;
  int64_t memory_bytes = kUnlimited;

  void TakeQuota(int64_t quota, int64_t period) {
    if (quota <= 0 || quota == kUnlimited || period <= 0 || quota > kUnlimited / 1'000) return;
    milli_cpus = std::min(milli_cpus, std::max<int64_t>(1, quota * 1'000 / period));
  }
  void TakeMemory(int64_t bytes) {
    if (bytes > 0) memory_bytes = std::min(memory_bytes, bytes);
  }
};

void ReadVersion2(const std::string& hierarchy, const std::string& path, Limits& limits) {
  for (const std::string& folder : FoldersUpwards(hierarchy, path)) {
    const std::vector<int64_t> cpu = Numbers(folder + "/cpu.max");
    if (cpu.size() == 2) limits.TakeQuota(cpu[0], cpu[1]);
    const std::vector<int64_t> memory = Numbers(folder + "/memory.max");
    if (memory.size() == 1) limits.TakeMemory(memory[0]);
  }
}

void ReadVersion1(const std::string& hierarchies, std::string_view controller, const std::string& path,
                  Limits& limits) {
  for (const std::string& folder : FoldersUpwards(hierarchies + "/" + std::string(controller), path)) {
    if (controller == "memory") {
      const std::vector<int64_t> memory = Numbers(folder + "/memory.limit_in_bytes");
      if (memory.size() == 1) limits.TakeMemory(memory[0]);
      continue;
    }
    const std::vector<int64_t> quota = Numbers(folder + "/cpu.cfs_quota_us");
    const std::vector<int64_t> period = Numbers(folder + "/cpu.cfs_period_us");
    if (quota.size() == 1 && period.size() == 1) limits.TakeQuota(quota[0], period[0]);
  }
}

// Lines of /proc/self/cgroup: `0::/path` for version 2, `4:cpu,cpuacct:/path` for version 1. In a container the path
// may be the host's and not exist here: the walk upwards then finds the container's own limits at the root.
Limits ReadCgroups(const std::string& root) {
  const std::string hierarchies = root + "/sys/fs/cgroup";
  Limits limits;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || second + 1 >= line.size() || line[second + 1] != '/') continue;
    const std::string path = line.substr(second + 1);
    std::istringstream controllers(line.substr(first + 1, second - first - 1));
    if (second == first + 1) ReadVersion2(hierarchies, path, limits);
    for (std::string controller; std::getline(controllers, controller, ',');) {
      if (controller == "cpu" || controller == "memory") ReadVersion1(hierarchies, controller, path, limits);
    }
  }
  return limits;
}

int64_t MachineMemory(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t kibibytes = 0;
    if (words >> name >> kibibytes && name == "MemTotal:" && kibibytes > 0) return kibibytes * 1'024;
  }
  return kUnlimited;
}

}  // namespace

Resources DetectResources() {
  return DetectResources("", static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
}

Resources DetectResources(const std::string& root, int hardware_cpus) {
  const Limits limits = ReadCgroups(root);
  Resources resources;
  resources.cpus = hardware_cpus;
  if (limits.milli_cpus != kUnlimited) {
    const int64_t rounded_up = limits.milli_cpus / 1'000 + (limits.milli_cpus % 1'000 == 0 ? 0 : 1);
    resources.cpus = static_cast<int>(std::min<int64_t>(hardware_cpus, rounded_up));
  }
  const int64_t memory = std::min(limits.memory_bytes, MachineMemory(root));
  if (memory != kUnlimited) resources.memory_bytes = memory;
  return resources;
}

}  // namespace larder
