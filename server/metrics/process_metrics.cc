#include "server/metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace larder {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// Positions in their lines, from 0; see proc(5).
constexpr size_t kResidentPagesInStatm = 1;
constexpr size_t kStartTicksAfterCommand = 19;

// Empty if it cannot be read. No stream: where no descriptor is left, UBSan, which looks at memory through a pipe,
// takes its virtual base for broken.
std::string ReadFile(const char* path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path, "re"), &std::fclose);
  std::string text;
  std::array<char, 4096> block;
  while (file != nullptr) {
    const size_t size = std::fread(block.data(), 1, block.size(), file.get());
    if (size == 0) break;
    text.append(block.data(), size);
  }
  return text;
}

double NumberAt(const std::string& text, size_t position) {
  const std::vector<std::string> words = absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  double number = 0;
  return position < words.size() && absl::SimpleAtod(words[position], &number) ? number : kUnknown;
}

double CpuSeconds() {
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return kUnknown;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double ResidentBytes() {
  return NumberAt(ReadFile("/proc/self/statm"), kResidentPagesInStatm) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double MostDescriptors() {
  rlimit limit = {};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<double>(limit.rlim_cur) : kUnknown;
}

double OpenDescriptors() {
  std::error_code error;
  std::filesystem::directory_iterator entries("/proc/self/fd", error);
  int count = 0;
  while (!error && entries != std::filesystem::directory_iterator()) {
    ++count;
    entries.increment(error);
  }
  // None is left for the listing: all that may be open are, and this is when the figure is wanted most.
  if (error == std::errc::too_many_files_open) return MostDescriptors();
  // One of them is that of the listing itself.
  return error ? kUnknown : count - 1;
}

// In seconds since the epoch.
double StartTime() {
  const std::string self = ReadFile("/proc/self/stat");
  const std::string machine = ReadFile("/proc/stat");
  // The command's name stands in brackets, and may itself hold blanks and brackets.
  const size_t command_end = self.rfind(')');
  const size_t boot = machine.find("btime ");
  if (command_end == std::string::npos || boot == std::string::npos) return kUnknown;
  const double ticks = NumberAt(self.substr(command_end + 1), kStartTicksAfterCommand);
  return NumberAt(machine.substr(boot), 1) + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

void AddProcessMetrics(Registry* registry) {
  registry->AddCounterCallback("process_cpu_seconds_total", "CPU time of the process, in user and system mode.", {},
                               CpuSeconds);
  registry->AddGauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", {}, ResidentBytes);
  registry->AddGauge("process_open_fds", "Open file descriptors.", {}, OpenDescriptors);
  registry->AddGauge("process_max_fds", "File descriptors that may be open.", {}, MostDescriptors);
  registry->AddGauge("process_start_time_seconds", "When the process started, since the Unix epoch.", {},
                     [start = StartTime()] { return start; });
}

}  // namespace larder
