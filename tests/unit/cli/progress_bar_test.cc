#include "client/cli/progress_bar.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "core/clock.h"

namespace larder {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

TEST(RenderProgressTest, ShowsBarCountRateAndTimeLeft) {
  EXPECT_EQ(RenderProgress(2'500, "entries", 0.25, 2 * kNanosPerSecond, 40), " 25%  2,500 entries  1,250/s  ETA 6s");
  EXPECT_EQ(RenderProgress(2'500, "entries", 0.25, 2 * kNanosPerSecond, 64),
            "[######..................]  25%  2,500 entries  1,250/s  ETA 6s");
}

TEST(RenderProgressTest, DoesWithoutWhatIsNotKnown) {
  EXPECT_EQ(RenderProgress(10, "entries", std::nullopt, kNanosPerSecond, 80), "10 entries  10/s");
  EXPECT_EQ(RenderProgress(0, "entries", 0.0, 0, 24), "  0%  0 entries  0/s");
}

TEST(RenderProgressTest, NeverPassesTheWidthNorTheWhole) {
  for (size_t width = 1; width < 120; ++width) {
    EXPECT_LE(RenderProgress(123'456'789, "requests", 1.5, kNanosPerSecond, width).size(), width);
  }
  EXPECT_EQ(RenderProgress(1, "entries", 1.5, kNanosPerSecond, 30), "100%  1 entries  1/s  ETA 0ms");
}

TEST(ProgressBarTest, WritesNothingWhereThereIsNoTerminal) {
  const std::unique_ptr<std::FILE, FileCloser> file(std::tmpfile());
  const SystemClock clock;
  {
    ProgressBar bar(file.get(), &clock, "entries");
    bar.Update(1, 0.5);
    bar.Clear();
  }
  EXPECT_EQ(std::ftell(file.get()), 0);
}

}  // namespace
}  // namespace larder
