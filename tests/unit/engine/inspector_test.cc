#include "server/engine/inspector.h"

#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/unit/engine/engine_fixture.h"

namespace larder {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr int64_t kSecond = kNanosPerSecond;

class InspectorTest : public EngineTest {
 protected:
  Inspection Inspect(const std::string& key) {
    std::optional<absl::StatusOr<Inspection>> got;
    inspector_.Inspect({}, "shop", key, [&](absl::StatusOr<Inspection> found) { got = std::move(found); });
    return got ? std::move(*got).value() : Inspection{};
  }

  absl::StatusOr<KeyPage> List(ListCommand command) {
    std::optional<absl::StatusOr<KeyPage>> got;
    if (command.name_space.empty()) command.name_space = "shop";
    inspector_.List({}, command, [&](absl::StatusOr<KeyPage> page) { got = std::move(page); });
    return got ? std::move(*got) : absl::InternalError("no answer yet");
  }

  // Every key, page by page, and that no page's mark is given twice.
  std::set<std::string> ListAll(ListCommand command) {
    std::set<std::string> keys;
    std::set<std::string> marks;
    std::string page;
    do {
      command.page = page;
      KeyPage answer = List(command).value();
      for (const ListedKey& key : answer.keys) keys.insert(key.key);
      page = std::move(answer.next_page);
      EXPECT_TRUE(page.empty() || marks.insert(page).second);
    } while (!page.empty());
    return keys;
  }

  void SetWith(const std::string& key, std::vector<std::string_view> tags, int64_t ttl_ms, int64_t stale_for_ms = 0) {
    SetCommand command;
    command.name_space = "shop";
    command.key = key;
    command.value = "v";
    command.content_type = "text/plain";
    command.ttl.ttl_ms = ttl_ms;
    command.tags = std::move(tags);
    command.stale_for_ms = stale_for_ms;
    engine_.Set({}, command, [](const absl::StatusOr<SetAnswer>& answer) { ASSERT_TRUE(answer->applied); });
  }

  void InvalidateGroup(InvalidateCommand command) {
    command.name_space = "shop";
    engine_.Invalidate({}, command, [](const absl::StatusOr<InvalidateAnswer>& answer) { ASSERT_TRUE(answer.ok()); });
  }

  Inspector inspector_{{}, &engine_, &store_, &clock_};
};

TEST(TimeText, HasTheTwoLargestUnits) {
  EXPECT_EQ(TimeText(-kSecond), "0 ms");
  EXPECT_EQ(TimeText(250 * kNanosPerMilli), "250 ms");
  EXPECT_EQ(TimeText(999'999'999), "999 ms");
  EXPECT_EQ(TimeText(kSecond), "1.0 s");
  EXPECT_EQ(TimeText(8'390 * kNanosPerMilli), "8.3 s");
  EXPECT_EQ(TimeText(60 * kSecond), "1 min 0 s");
  EXPECT_EQ(TimeText(3'599 * kSecond), "59 min 59 s");
  EXPECT_EQ(TimeText(3 * 3'600 * kSecond + 300 * kSecond), "3 h 5 min");
  EXPECT_EQ(TimeText(6 * 86'400 * kSecond + 3 * 3'600 * kSecond), "6 d 3 h");
}

TEST_F(InspectorTest, NothingIsAMiss) {
  const Inspection found = Inspect("k");
  EXPECT_EQ(found.verdict, Verdict::kNone);
  EXPECT_EQ(found.reason, "a miss: nothing is stored under the key");
  EXPECT_FALSE(found.near.has_value());
  EXPECT_FALSE(found.store.has_value());
  EXPECT_THAT(found.stamps, IsEmpty());
}

TEST_F(InspectorTest, AFreshEntryIsTold) {
  SetWith("k", {"a", "b"}, 10'000, 60'000);
  clock_.Advance(2'000 * kNanosPerMilli);
  const Inspection found = Inspect("k");
  EXPECT_EQ(found.verdict, Verdict::kFresh);
  EXPECT_THAT(found.reason, StartsWith("served: fresh for another 8.0 s, then stale for 1 min 0 s; "));
  ASSERT_TRUE(found.store.has_value());
  EXPECT_EQ(found.store->age_nanos, 2 * kSecond);
  EXPECT_EQ(found.store->ttl_nanos, 8 * kSecond);
  EXPECT_EQ(found.store->hard_ttl_nanos, 68 * kSecond);
  EXPECT_EQ(found.store->lease_nanos, 0);
  EXPECT_GT(found.store->stored_bytes, 0);
  EXPECT_EQ(found.store->entry->content_type(), "text/plain");
  EXPECT_EQ(found.store->entry->tags().encoded(), TagList::Encode({"a", "b"}));
  EXPECT_EQ(found.store->entry->meta().generation, found.clock.generation);
}

TEST_F(InspectorTest, TheNearTierAnswersFirstAndIsNotCountedAsRead) {
  SetWith("k", {}, 10'000);
  ASSERT_EQ(Get("k", /*from_store=*/true).value(), "v");
  const KeyspaceStats before = Stats();
  const Inspection found = Inspect("k");
  EXPECT_EQ(found.verdict, Verdict::kFresh);
  EXPECT_EQ(found.reason, "served: fresh for another 10.0 s, then gone; this replica's near tier answers");
  ASSERT_TRUE(found.near.has_value());
  EXPECT_EQ(found.near->entry->meta().version, found.store->entry->meta().version);
  const KeyspaceStats after = Stats();
  EXPECT_EQ(after.near_hits + after.store_hits + after.misses, before.near_hits + before.store_hits + before.misses);
}

TEST_F(InspectorTest, ANearCopyThatIsTooOldIsNotServed) {
  store_.shared = true;
  SetWith("k", {}, 10'000);
  ASSERT_EQ(Get("k").value(), "v");
  clock_.Advance(400 * kNanosPerMilli);
  EXPECT_THAT(Inspect("k").reason, EndsWith("; this replica's near tier answers, and asks the store again in 600 ms"));
  clock_.Advance(1'000 * kNanosPerMilli);
  const Inspection found = Inspect("k");
  EXPECT_EQ(found.verdict, Verdict::kFresh);
  EXPECT_EQ(found.reason,
            "served: fresh for another 8.6 s, then gone; the store answers, since the near tier's copy was read 1.4 s "
            "ago and "
            "near_max_age is 1.0 s");
}

TEST_F(InspectorTest, AnotherVersionInTheStoreIsTold) {
  store_.shared = true;
  SetWith("k", {}, 10'000);
  ASSERT_EQ(Get("k").value(), "v");
  // As another replica would.
  EraseRequest erase{.name_space = "shop", .keys = {"k"}, .soft_versions = {}, .deadline_nanos = INT64_MAX};
  embedded_.Erase(std::move(erase), [](const absl::StatusOr<EraseResult>&) {});
  EXPECT_THAT(
      Inspect("k").reason,
      EndsWith(
          "; this replica's near tier answers, and asks the store again in 1.0 s; the store no longer has the entry"));
}

TEST_F(InspectorTest, AStaleEntryIsToldWithItsTimes) {
  SetWith("k", {}, 10'000, 60'000);
  clock_.Advance(14'200 * kNanosPerMilli);
  const Inspection found = Inspect("k");
  EXPECT_EQ(found.verdict, Verdict::kStale);
  EXPECT_EQ(found.reason,
            "served as stale: soft expiry 4.2 s ago, until 55.8 s from now; this replica's near tier answers");
  EXPECT_EQ(found.store->ttl_nanos, 0);
}

TEST_F(InspectorTest, WhoLoadsAStaleEntryAnewIsTold) {
  SetWith("k", {}, 10'000, 60'000);
  clock_.Advance(14'200 * kNanosPerMilli);
  GetCommand get;
  get.name_space = "shop";
  get.key = "k";
  get.wants_lease = true;
  engine_.Get({}, get, [](const absl::StatusOr<GetAnswer>& answer) { ASSERT_TRUE(answer->lease.has_value()); });
  clock_.Advance(1'700 * kNanosPerMilli);
  const Inspection found = Inspect("k");
  EXPECT_EQ(found.verdict, Verdict::kStale);
  EXPECT_THAT(found.reason, HasSubstr("; it is being loaded anew, or that has just failed: nobody else is to try for "
                                      "another 8.3 s"));
  EXPECT_EQ(found.store->lease_nanos, 8'300 * kNanosPerMilli);
}

TEST_F(InspectorTest, ALeaseAloneIsToldButNotItsToken) {
  GetCommand get;
  get.name_space = "shop";
  get.key = "k";
  get.wants_lease = true;
  engine_.Get({}, get, [](const absl::StatusOr<GetAnswer>& answer) { ASSERT_TRUE(answer->lease.has_value()); });
  clock_.Advance(1'700 * kNanosPerMilli);
  const Inspection found = Inspect("k");
  EXPECT_EQ(found.verdict, Verdict::kLeased);
  EXPECT_EQ(found.reason, "leased: nothing is stored yet, somebody has the right to load it for another 8.3 s");
  ASSERT_TRUE(found.store.has_value());
  EXPECT_TRUE(found.store->lease_only);
  EXPECT_EQ(found.store->hard_ttl_nanos, 0);
}

// COHERENCE E3.
TEST_F(InspectorTest, TheStampThatKilledItIsNamed) {
  SetWith("k:1", {"client:7"}, 10'000);
  InvalidateGroup({.tags = {"other"}});
  InvalidateGroup({.tags = {"client:7"}});
  InvalidateGroup({.patterns = {"k:*"}, .soft = true});
  const Inspection found = Inspect("k:1");
  EXPECT_EQ(found.verdict, Verdict::kInvalidated);
  const uint64_t epoch = found.store->entry->meta().epoch;
  EXPECT_EQ(found.reason, absl::StrCat("dead: tag \"client:7\" was invalidated (HARD) at epoch ", epoch + 2,
                                       ", the entry is of epoch ", epoch));
  EXPECT_EQ(found.clock.epoch, epoch + 3);
  ASSERT_THAT(found.stamps, SizeIs(2));
  EXPECT_EQ(found.stamps[0], (Stamp{.group = Stamp::Group::kPattern, .soft = true, .epoch = epoch + 3, .name = "k:*"}));
  EXPECT_EQ(found.stamps[1],
            (Stamp{.group = Stamp::Group::kTag, .soft = false, .epoch = epoch + 2, .name = "client:7"}));
}

TEST_F(InspectorTest, TheStampThatMadeItStaleIsNamed) {
  SetWith("k:1", {}, 10'000);
  InvalidateGroup({.patterns = {"*:1"}, .soft = true});
  const Inspection found = Inspect("k:1");
  EXPECT_EQ(found.verdict, Verdict::kStale);
  EXPECT_THAT(found.reason, StartsWith("served as stale: pattern \"*:1\" was invalidated (SOFT) at epoch "));
  EXPECT_THAT(found.reason, HasSubstr(", until 10.0 s from now"));
  EXPECT_EQ(found.store->ttl_nanos, 0);
  EXPECT_EQ(found.store->hard_ttl_nanos, 10 * kSecond);
}

TEST_F(InspectorTest, TheWholeNamespaceIsNamed) {
  SetWith("k", {}, 10'000);
  InvalidateGroup({.all = true});
  EXPECT_THAT(Inspect("k").reason, StartsWith("dead: the whole namespace was invalidated (HARD) at epoch "));
}

// COHERENCE C3.
TEST_F(InspectorTest, AnOldGenerationIsToldFromAnInvalidation) {
  SetWith("k", {}, 10'000);
  const uint64_t before = Inspect("k").clock.generation;
  embedded_.RaiseBarrier("shop", INT64_MAX, [](const absl::StatusOr<ControlUpdate>& done) { ASSERT_TRUE(done.ok()); });
  const Inspection found = Inspect("k");
  EXPECT_EQ(found.verdict, Verdict::kOldGeneration);
  EXPECT_NE(found.clock.generation, before);
  EXPECT_EQ(found.store->entry->meta().generation, before);
  EXPECT_THAT(found.reason, StartsWith("dead: the entry is of generation "));
}

TEST_F(InspectorTest, ABadKeyOrNamespaceIsRefused) {
  absl::Status status;
  const auto keep = [&](const absl::StatusOr<Inspection>& found) { status = found.status(); };
  inspector_.Inspect({}, "shop", "", keep);
  EXPECT_EQ(status, absl::InvalidArgumentError("key: empty, must be 1 to 512 bytes"));
  inspector_.Inspect({}, "nowhere", "k", keep);
  EXPECT_EQ(status, absl::InvalidArgumentError("namespace: \"nowhere\" is not configured"));
}

TEST_F(InspectorTest, TheStoresErrorIsPassedOn) {
  store_.failure = absl::UnavailableError("away");
  absl::Status status;
  inspector_.Inspect({}, "shop", "k", [&](const absl::StatusOr<Inspection>& found) { status = found.status(); });
  EXPECT_EQ(status, absl::UnavailableError("away"));
  EXPECT_EQ(List({}).status(), absl::UnavailableError("away"));
}

TEST_F(InspectorTest, ListGivesEveryKeyOnceInPages) {
  std::set<std::string> all;
  for (int i = 0; i < 2'000; ++i) all.insert(absl::StrCat("k:", i));
  for (const std::string& key : all) SetWith(key, {}, 10'000);
  EXPECT_EQ(ListAll({.page_size = 70}), all);
  EXPECT_EQ(ListAll({.page_size = 10'000}), all);
  EXPECT_LE(List({.page_size = 70})->keys.size(), 70U);
}

TEST_F(InspectorTest, ListMatchesThePatternItself) {
  for (const char* key : {"a[1]", "a1", "a2", "b1"}) SetWith(key, {}, 10'000);
  EXPECT_THAT(ListAll({.pattern = "a?"}), UnorderedElementsAre("a1", "a2"));
  EXPECT_THAT(ListAll({.pattern = "*1*"}), UnorderedElementsAre("a[1]", "a1", "b1"));
  // No glob of Redis': brackets stand for themselves.
  EXPECT_THAT(ListAll({.pattern = "a[1]"}), UnorderedElementsAre("a[1]"));
}

TEST_F(InspectorTest, ListLeavesOutWhatIsNotServedUnlessAsked) {
  SetWith("dead", {"t"}, 10'000);
  InvalidateGroup({.tags = {"t"}});
  SetWith("fresh", {}, 10'000);
  SetWith("stale", {}, 1'000, 60'000);
  GetCommand get;
  get.name_space = "shop";
  get.key = "leased";
  get.wants_lease = true;
  engine_.Get({}, get, [](const absl::StatusOr<GetAnswer>&) {});
  clock_.Advance(2'000 * kNanosPerMilli);
  EXPECT_THAT(ListAll({}), UnorderedElementsAre("fresh", "stale"));
  std::map<std::string, Verdict> verdicts;
  const KeyPage page = List({.with_invalid = true}).value();
  for (const ListedKey& key : page.keys) verdicts[key.key] = key.verdict;
  EXPECT_EQ(verdicts, (std::map<std::string, Verdict>{{"dead", Verdict::kInvalidated},
                                                      {"fresh", Verdict::kFresh},
                                                      {"leased", Verdict::kLeased},
                                                      {"stale", Verdict::kStale}}));
}

TEST_F(InspectorTest, APageOfAnotherNamespaceOrNoneAtAllIsRefused) {
  for (int i = 0; i < 100; ++i) SetWith(absl::StrCat("k", i), {}, 10'000);
  const std::string mark = List({.page_size = 10})->next_page;
  ASSERT_FALSE(mark.empty());
  EXPECT_EQ(List({.name_space = "default", .page = mark}).status(),
            absl::InvalidArgumentError("page: not a next_page that a List of namespace \"default\" has answered"));
  std::string damaged = mark;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  const absl::Status no_page =
      absl::InvalidArgumentError("page: not a next_page that a List of namespace \"shop\" has answered");
  const std::string long_one(10'000, '\1');
  for (const std::string& page : {damaged, mark.substr(0, 9), mark + "0", std::string("x"), long_one}) {
    EXPECT_EQ(List({.page = page}).status(), no_page);
  }
}

TEST_F(InspectorTest, ListRefusesWhatItCannotTake) {
  EXPECT_EQ(List({.page_size = -1}).status(), absl::InvalidArgumentError("page_size: -1, must be 1 to 10000"));
  EXPECT_EQ(List({.page_size = 10'001}).status(), absl::InvalidArgumentError("page_size: 10001, must be 1 to 10000"));
  const std::string pattern(129, '*');
  EXPECT_EQ(List({.pattern = pattern}).status(), absl::InvalidArgumentError("pattern: 129 bytes, the limit is 128"));
}

// An answer is never larger than a message may be, however long the keys are.
TEST_F(InspectorTest, APageEndsBeforeItIsTooLarge) {
  constexpr size_t kMaxBytes = 20'000;
  Inspector small({.max_page_bytes = kMaxBytes}, &engine_, &store_, &clock_);
  for (int i = 0; i < 300; ++i) SetWith(absl::StrCat(i, std::string(500, 'k')), {}, 10'000);
  std::set<std::string> keys;
  std::string page;
  do {
    KeyPage answer;
    small.List({}, {.name_space = "shop", .page = page, .page_size = 10'000},
               [&](absl::StatusOr<KeyPage> got) { answer = std::move(got).value(); });
    EXPECT_LE(answer.keys.size() * 500, kMaxBytes);
    for (const ListedKey& key : answer.keys) keys.insert(key.key);
    page = std::move(answer.next_page);
  } while (!page.empty());
  EXPECT_THAT(keys, SizeIs(300));
}

TEST_F(InspectorTest, ADisabledNamespaceServesNothing) {
  SetWith("k", {}, 10'000);
  NamespacePolicy off = PolicyNamed("shop");
  off.enabled = false;
  engine_.ReplacePolicies({off}, INT64_MAX, [](const absl::StatusOr<bool>&) {});
  const Inspection found = Inspect("k");
  EXPECT_EQ(found.verdict, Verdict::kNone);
  EXPECT_THAT(found.reason, StartsWith("a miss: the namespace is switched off"));
  EXPECT_TRUE(found.store.has_value());
  EXPECT_THAT(ListAll({}), IsEmpty());
  EXPECT_THAT(ListAll({.with_invalid = true}), UnorderedElementsAre("k"));
}

}  // namespace
}  // namespace larder
