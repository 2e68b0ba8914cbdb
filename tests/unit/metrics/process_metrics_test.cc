#include "server/metrics/process_metrics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <string>
#include <vector>

namespace larder {
namespace {

class ProcessMetricsTest : public testing::Test {
 protected:
  ProcessMetricsTest() { AddProcessMetrics(&registry_); }

  double Value(const std::string& name) const {
    const std::string text = registry_.RenderText();
    const std::string line = "\n" + name + " ";
    const size_t at = text.find(line);
    EXPECT_NE(at, std::string::npos) << text;
    return at == std::string::npos ? -1 : std::stod(text.substr(at + line.size()));
  }

  Registry registry_;
};

TEST_F(ProcessMetricsTest, MemoryFollowsWhatIsTouched) {
  constexpr double kMiB = 1 << 20;
  const double before = Value("process_resident_memory_bytes");
  EXPECT_GT(before, kMiB);
  std::string reserved;
  reserved.reserve(256 << 20);
  const std::string touched(64 << 20, 'x');
  const double grown = Value("process_resident_memory_bytes") - before;
  EXPECT_GT(grown, 60 * kMiB);
  // A sanitizer's own memory grows along.
  EXPECT_LT(grown, 128 * kMiB);
  EXPECT_GE(reserved.capacity(), 256u << 20);
}

TEST_F(ProcessMetricsTest, DescriptorsFollowWhatIsOpened) {
  const double before = Value("process_open_fds");
  int there = 0;
  for (int fd = 0; fd < 1024; ++fd) there += fcntl(fd, F_GETFD) != -1 ? 1 : 0;
  EXPECT_EQ(before, there);
  std::vector<int> opened;
  for (int i = 0; i < 7; ++i) opened.push_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(Value("process_open_fds"), before + 7);
  for (const int fd : opened) close(fd);
  EXPECT_EQ(Value("process_open_fds"), before);

  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(Value("process_max_fds"), static_cast<double>(limit.rlim_cur));
}

TEST_F(ProcessMetricsTest, DescriptorsAreToldWhenNoneIsLeft) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  constexpr rlim_t kFew = 64;
  const rlimit few = {.rlim_cur = kFew, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<int> opened;
  int fd = -1;
  while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) != -1) opened.push_back(fd);
  const int why = errno;
  const double told = Value("process_open_fds");
  for (const int each : opened) close(each);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(why, EMFILE);
  EXPECT_EQ(told, kFew);
}

TEST_F(ProcessMetricsTest, CpuTimeIsThatOfTheProcess) {
  const auto cpu_seconds = [] {
    timespec used = {};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
  };
  while (cpu_seconds() < 0.1) {
  }
  const double before = cpu_seconds();
  const double told = Value("process_cpu_seconds_total");
  // The kernel's two accounts differ by a tick at most.
  EXPECT_GE(told, before - 0.02);
  EXPECT_LE(told, cpu_seconds() + 0.02);
}

TEST_F(ProcessMetricsTest, StartTimeIsThisTestsOwn) {
  const double start = Value("process_start_time_seconds");
  const auto now = static_cast<double>(std::time(nullptr));
  // To within the second that the kernel tells of its own start.
  EXPECT_LE(start, now + 1.5);
  EXPECT_GE(start, now - 600);
}

}  // namespace
}  // namespace larder
