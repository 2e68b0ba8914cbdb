#include "client/src/target.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace larder::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TargetTest, ReadsEachForm) {
  const auto targets = ParseTargets("localhost:1,dns:///cache.example:50051, [::1]:2 ,unix:/run/larder.sock,unix:///x");
  ASSERT_TRUE(targets.ok()) << targets.status();
  EXPECT_THAT(*targets, ElementsAre(Target{"localhost", "1", ""}, Target{"cache.example", "50051", ""},
                                    Target{"::1", "2", ""}, Target{"", "", "/run/larder.sock"}, Target{"", "", "/x"}));
}

TEST(TargetTest, RefusesWhatIsNoneNamingIt) {
  const auto refusal = [](std::string_view text) {
    const auto targets = ParseTargets(text);
    EXPECT_EQ(targets.status().code(), absl::StatusCode::kInvalidArgument) << text;
    return std::string(targets.status().message());
  };
  EXPECT_THAT(refusal("cache"), HasSubstr("target: \"cache\" has no port"));
  EXPECT_THAT(refusal("cache:0"), HasSubstr("port from 1 to 65535"));
  EXPECT_THAT(refusal("cache:http"), HasSubstr("port from 1 to 65535"));
  EXPECT_THAT(refusal(":1"), HasSubstr("has no host"));
  EXPECT_THAT(refusal("::1:1"), HasSubstr("without brackets"));
  EXPECT_THAT(refusal("http://cache:1"), HasSubstr("scheme"));
  EXPECT_THAT(refusal("dns://8.8.8.8/cache:1"), HasSubstr("DNS server"));
  EXPECT_THAT(refusal("unix:"), HasSubstr("no path"));
  EXPECT_THAT(refusal("a:1,,b:2"), HasSubstr("target: \"\""));
}

TEST(TargetTest, ResolvesToAddressesThatGrpcTakes) {
  const auto targets = ParseTargets("127.0.0.1:5,[::1]:6,unix:/s");
  ASSERT_TRUE(targets.ok());
  EXPECT_FALSE(NeedsResolving(*targets));
  EXPECT_EQ(*Resolve((*targets)[0]), std::vector<Address>({{"ipv4:127.0.0.1:5", "127.0.0.1"}}));
  EXPECT_EQ(*Resolve((*targets)[1]), std::vector<Address>({{"ipv6:[::1]:6", "::1"}}));
  EXPECT_EQ(*Resolve((*targets)[2]), std::vector<Address>({{"unix:/s", "localhost"}}));
}

TEST(TargetTest, ANameHasAddressesOfOneFamily) {
  const auto targets = ParseTargets("localhost:5");
  ASSERT_TRUE(targets.ok());
  EXPECT_TRUE(NeedsResolving(*targets));
  EXPECT_EQ(*Resolve((*targets)[0]), std::vector<Address>({{"ipv4:127.0.0.1:5", "localhost"}}));
}

TEST(TargetTest, ANameThatIsNotFoundIsNamed) {
  const absl::Status status = Resolve(Target{"no-such-host.invalid", "5", ""}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no-such-host.invalid"));
}

}  // namespace
}  // namespace larder::internal
