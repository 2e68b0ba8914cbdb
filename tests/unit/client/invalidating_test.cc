#include "larder/invalidating.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "larder/testing/fake_cache.h"

namespace larder {
namespace {

using Keys = std::vector<std::string>;

class InvalidatingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(cache_.Set(key, "old").ok());
  }

  // The keys of SetUp that are left.
  std::string Left() const {
    std::string left;
    for (const char* key : {"a", "b", "c"}) left += cache_.Contains(key) ? key : "";
    return left;
  }

  testing::FakeCache cache_{{.name_spaces = {"shop"}, .max_batch_keys = 100}};
};

TEST_F(InvalidatingTest, DropsAListOfKeysAfterTheWrite) {
  std::string left_at_write;
  auto write = Invalidating(cache_,
                            [&](int number) -> absl::StatusOr<int> {
                              left_at_write = Left();
                              return number + 1;
                            },
                            {"a", "c"});
  const absl::StatusOr<Written<int>> written = write(4);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->result, 5);
  EXPECT_EQ(written->invalidation, absl::OkStatus());
  EXPECT_EQ(left_at_write, "abc");
  EXPECT_EQ(Left(), "b");
}

TEST_F(InvalidatingTest, DropsWhatAFunctionNames) {
  auto by_arguments = Invalidating(
      cache_, [](const std::string&) { return absl::OkStatus(); }, [](const std::string& key) { return key; });
  const absl::StatusOr<Written<void>> written = by_arguments("a");
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->invalidation, absl::OkStatus());
  EXPECT_EQ(Left(), "bc");

  auto by_result = Invalidating(
      cache_, [](int) { return std::string("b"); },
      [](const std::string& moved_from, int) { return Keys{moved_from}; });
  ASSERT_TRUE(by_result(1).ok());
  EXPECT_EQ(Left(), "c");

  auto all = Invalidating(
      cache_, [] {}, [] { return Invalidation{.all = true}; });
  static_assert(std::is_same_v<decltype(all()), absl::StatusOr<Written<void>>>);
  ASSERT_TRUE(all().ok());
  EXPECT_EQ(Left(), "");
}

TEST_F(InvalidatingTest, AFailedWriteDropsNothing) {
  int named = 0;
  const auto name_keys = [&] {
    ++named;
    return Keys{"a"};
  };
  auto refused = Invalidating(
      cache_, []() -> absl::StatusOr<int> { return absl::AlreadyExistsError("taken"); }, name_keys);
  EXPECT_EQ(refused().status(), absl::AlreadyExistsError("taken"));
  auto refused_void = Invalidating(
      cache_, [] { return absl::AlreadyExistsError("taken"); }, name_keys);
  EXPECT_EQ(refused_void().status(), absl::AlreadyExistsError("taken"));
  auto thrown = Invalidating(
      cache_, [] { throw std::runtime_error("it broke"); }, name_keys);
  EXPECT_EQ(thrown().status(), absl::InternalError("the write threw: it broke"));
  EXPECT_EQ(Left(), "abc");
  EXPECT_EQ(named, 0);
  EXPECT_EQ(cache_.calls().invalidations, 0);
}

TEST_F(InvalidatingTest, AWriteWhoseInvalidationFailedIsAWrite) {
  auto write = Invalidating(
      cache_, [](int number) { return number; }, Keys{"a"});
  cache_.FailNext(absl::UnavailableError("away"));
  absl::StatusOr<Written<int>> written = write(4);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->result, 4);
  EXPECT_EQ(written->invalidation, absl::UnavailableError("away"));
  EXPECT_EQ(Left(), "abc");

  auto keyless = Invalidating(
      cache_, [](int number) { return number; }, [](int) -> Keys { throw std::runtime_error("no key"); });
  written = keyless(4);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->invalidation, absl::InternalError("what says which keys are stale threw: no key"));
}

TEST_F(InvalidatingTest, NothingToDropIsNoCall) {
  auto write = Invalidating(
      cache_, [] { return 1; }, [] { return Keys(); });
  const absl::StatusOr<Written<int>> written = write();
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(written->invalidation, absl::OkStatus());
  EXPECT_EQ(cache_.calls().invalidations, 0);
}

// A namespace may take fewer keys at a time than the service's most.
TEST_F(InvalidatingTest, DropsAllKeysWhateverTheNamespaceTakesAtATime) {
  Keys keys;
  for (int i = 0; i < 150; ++i) keys.push_back("k" + std::to_string(i));
  for (const std::string& key : keys) ASSERT_TRUE(cache_.Set(key, "old").ok());
  auto write = Invalidating(
      cache_, [] {}, keys);
  EXPECT_EQ(write()->invalidation, absl::OkStatus());
  EXPECT_EQ(cache_.size(), 3u) << "those of SetUp";
  EXPECT_EQ(cache_.calls().invalidations, 3);
}

TEST_F(InvalidatingTest, ARefusedKeyKeepsNoOther) {
  Keys keys(90, "x");
  keys.front() = "a";
  keys[7] = std::string(513, 'k');
  keys[40] = "b";
  keys.back() = "c";
  auto write = Invalidating(
      cache_, [] {}, keys);
  const absl::StatusOr<Written<void>> written = write();
  EXPECT_EQ(written->invalidation, absl::InvalidArgumentError("keys[0]: key: 513 bytes, the limit is 512"));
  EXPECT_EQ(Left(), "");
  EXPECT_LE(cache_.calls().invalidations, 16) << "it is searched for by halves";
}

TEST_F(InvalidatingTest, ARefusalThatIsNotOfTheKeysIsNotSearchedFor) {
  auto write = Invalidating(cache_, [] {}, Invalidation{.keys = Keys(90, "x")}, {.name_space = "shpo"});
  EXPECT_EQ(write()->invalidation, absl::InvalidArgumentError("namespace: \"shpo\" is not configured"));
  EXPECT_EQ(cache_.calls().invalidations, 1);
}

TEST(InvalidatingBatchTest, MoreKeysThanACallTakesAreSeveralCalls) {
  testing::FakeCache cache;
  Keys keys(2500, "x");
  keys.front() = "a";
  keys[1500] = "b";
  keys.back() = "c";
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(cache.Set(key, "old").ok());
  auto write = Invalidating(
      cache, [] {}, keys);
  cache.FailNext(absl::UnavailableError("away"));
  absl::StatusOr<Written<void>> written = write();
  EXPECT_EQ(written->invalidation, absl::UnavailableError("away"));
  EXPECT_EQ(cache.calls().invalidations, 3);
  EXPECT_TRUE(cache.Contains("a"));
  EXPECT_EQ(cache.size(), 1u);
  written = write();
  EXPECT_EQ(written->invalidation, absl::OkStatus());
  EXPECT_EQ(cache.size(), 0u);
}

TEST_F(InvalidatingTest, LooksAtTheArgumentsAfterTheWrite) {
  auto insert = Invalidating(
      cache_, [](std::string& key) { key = "b"; }, [](const std::string& key) { return Keys{key}; });
  std::string key = "a";
  ASSERT_TRUE(insert(key).ok());
  EXPECT_EQ(Left(), "ac");
}

TEST_F(InvalidatingTest, UsesTheNamespaceItIsGiven) {
  ASSERT_TRUE(cache_.Set("a", "x", {.name_space = "shop"}).ok());
  auto write = Invalidating(cache_, [] {}, Invalidation{.keys = {"a"}}, {.name_space = "shop"});
  ASSERT_TRUE(write().ok());
  EXPECT_FALSE(cache_.Contains("a", "shop"));
  EXPECT_EQ(Left(), "abc");
}

}  // namespace
}  // namespace larder
