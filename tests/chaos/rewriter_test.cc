#include "tests/chaos/rewriter.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace larder::chaos {
namespace {

Rewriter Naming() {
  return Rewriter({{.from = "10.0.0.1:7000", .to = "10.0.0.9:7001"}, {.from = "10.0.0.9:7001", .to = "10.0.0.1:7000"}});
}

TEST(Rewriter, PassesOnWhatItDoesNotKnow) {
  Rewriter rewriter({});
  EXPECT_EQ(rewriter.Next("any bytes"), "any bytes");
  EXPECT_EQ(rewriter.End(), "");
}

TEST(Rewriter, DoesNotLookAtWhatItHasPutIn) {
  EXPECT_EQ(Naming().Next("10.0.0.1:7000,10.0.0.9:7001\r\n"), "10.0.0.9:7001,10.0.0.1:7000\r\n");
}

TEST(Rewriter, FindsATextHoweverItIsCut) {
  constexpr std::string_view kText = "a 10.0.0.1:7000@17000 master, 10.0.0.1:7001 10.10.0.0.1:7000\r\n";
  const std::string wanted = "a 10.0.0.9:7001@17000 master, 10.0.0.1:7001 10.10.0.0.9:7001\r\n";
  for (size_t first = 0; first <= kText.size(); ++first) {
    for (size_t second = first; second <= kText.size(); ++second) {
      Rewriter rewriter = Naming();
      std::string out = rewriter.Next(kText.substr(0, first));
      out += rewriter.Next(kText.substr(first, second - first));
      out += rewriter.Next(kText.substr(second));
      ASSERT_EQ(out, wanted) << "cut at " << first << " and " << second;
    }
  }
}

TEST(Rewriter, HoldsBackNothingButABeginning) {
  Rewriter rewriter = Naming();
  EXPECT_EQ(rewriter.Next("+10.0.0.1\r\n"), "+10.0.0.1\r\n");
  EXPECT_EQ(rewriter.Next("10.0.0."), "");
  EXPECT_EQ(rewriter.Next("2\r\n"), "10.0.0.2\r\n");
  EXPECT_EQ(rewriter.Next("at 10.0.0.1:"), "at ");
  EXPECT_EQ(rewriter.End(), "10.0.0.1:");
  EXPECT_EQ(rewriter.End(), "");
}

}  // namespace
}  // namespace larder::chaos
