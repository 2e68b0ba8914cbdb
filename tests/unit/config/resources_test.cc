#include "server/config/resources.h"

#include "tests/unit/config/config_test_util.h"

namespace larder {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

class ResourcesTest : public testing::Test {
 protected:
  void SetUp() override { root_.Write("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n"); }
  Resources Detect(int hardware_cpus = 8) { return DetectResources(root_.path(), hardware_cpus); }

  TemporaryFolder root_;
};

TEST_F(ResourcesTest, TakesTheMachineWhereThereAreNoLimits) {
  EXPECT_EQ(Detect().cpus, 8);
  EXPECT_EQ(Detect().memory_bytes, 8'192 * kMiB);
}

TEST_F(ResourcesTest, TakesADefaultWhereNothingTellsTheMemory) {
  root_.Write("proc/meminfo", "nonsense\n");
  EXPECT_EQ(Detect().memory_bytes, 1'024 * kMiB);
}

TEST_F(ResourcesTest, ReadsVersion2OfAContainer) {
  root_.Write("proc/self/cgroup", "0::/\n");
  root_.Write("sys/fs/cgroup/cpu.max", "150000 100000\n");
  root_.Write("sys/fs/cgroup/memory.max", "268435456\n");
  EXPECT_EQ(Detect().cpus, 2);
  EXPECT_EQ(Detect().memory_bytes, 256 * kMiB);
}

TEST_F(ResourcesTest, TakesTheLowestLimitOfVersion2sParents) {
  root_.Write("proc/self/cgroup", "0::/kubepods/pod1/main\n");
  root_.Write("sys/fs/cgroup/kubepods/pod1/main/cpu.max", "max 100000\n");
  root_.Write("sys/fs/cgroup/kubepods/pod1/main/memory.max", "536870912\n");
  root_.Write("sys/fs/cgroup/kubepods/pod1/cpu.max", "300000 100000\n");
  root_.Write("sys/fs/cgroup/kubepods/memory.max", "1073741824\n");
  root_.Write("sys/fs/cgroup/kubepods/cpu.max", "700000 100000\n");
  EXPECT_EQ(Detect().cpus, 3);
  EXPECT_EQ(Detect().memory_bytes, 512 * kMiB);
}

TEST_F(ResourcesTest, ReadsVersion1) {
  root_.Write("proc/self/cgroup", "12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n");
  root_.Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
  root_.Write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  root_.Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
  EXPECT_EQ(Detect().cpus, 1);
  EXPECT_EQ(Detect().memory_bytes, 128 * kMiB);
}

TEST_F(ResourcesTest, KnowsVersion1sWordsForNoLimit) {
  root_.Write("proc/self/cgroup", "12:memory:/\n4:cpu,cpuacct:/\n");
  root_.Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  root_.Write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  root_.Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Detect().cpus, 8);
  EXPECT_EQ(Detect().memory_bytes, 8'192 * kMiB);
}

TEST_F(ResourcesTest, NeverTakesMoreThanTheMachineHas) {
  root_.Write("proc/self/cgroup", "0::/\n");
  root_.Write("sys/fs/cgroup/cpu.max", "3200000 100000\n");
  root_.Write("sys/fs/cgroup/memory.max", "99999999999999\n");
  EXPECT_EQ(Detect().cpus, 8);
  EXPECT_EQ(Detect().memory_bytes, 8'192 * kMiB);
}

TEST_F(ResourcesTest, PassesOverWhatItCannotRead) {
  root_.Write("proc/self/cgroup", "0\n:\n::\n0::relative\n0::/\n");
  root_.Write("sys/fs/cgroup/cpu.max", "x y\n");
  root_.Write("sys/fs/cgroup/memory.max", "\n");
  EXPECT_EQ(Detect().cpus, 8);
  EXPECT_EQ(Detect().memory_bytes, 8'192 * kMiB);
  root_.Write("sys/fs/cgroup/cpu.max", "100000 0\n");
  EXPECT_EQ(Detect().cpus, 8);
}

TEST(ThisMachineTest, HasACpuAndMemory) {
  EXPECT_GE(DetectResources().cpus, 1);
  EXPECT_GT(DetectResources().memory_bytes, 0);
}

}  // namespace
}  // namespace larder
