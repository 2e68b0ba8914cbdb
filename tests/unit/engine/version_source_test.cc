#include "server/engine/version_source.h"

#include <set>

#include "gtest/gtest.h"

namespace larder {
namespace {

TEST(VersionSourceTest, NeverRepeatsAndIsNeverZero) {
  VersionSource source(0);
  std::set<uint64_t> seen;
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t version = source.Next();
    EXPECT_NE(version, 0u);
    EXPECT_TRUE(seen.insert(version).second);
  }
}

TEST(VersionSourceTest, SkipsTheOneStateThatMixesToZero) {
  VersionSource source(0);  // the finaliser maps 0 to 0
  EXPECT_NE(source.Next(), 0u);
}

}  // namespace
}  // namespace larder
