#include "client/src/flights.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "gtest/gtest.h"

namespace larder::internal {
namespace {

constexpr bool kAlone = true;

std::shared_ptr<Flight> Lead(Flights& flights, const std::string& key, const std::string& name_space = "default") {
  const Flights::Place place = flights.Board(name_space, key, !kAlone, nullptr);
  EXPECT_TRUE(place.leads);
  return place.flight;
}

bool Joins(Flights& flights, const std::string& key, const std::shared_ptr<Flight>& flight) {
  const Flights::Place place = flights.Board("default", key, !kAlone, nullptr);
  if (place.leads) flights.End(*place.flight);
  return place.flight == flight;
}

FlightOutcome Loaded(std::string_view bytes) { return {.value = Known{.value = Value(bytes)}, .loaded = true}; }

TEST(Flights, OneLeadsAndOthersJoinUntilItEnds) {
  Flights flights;
  const std::shared_ptr<Flight> flight = Lead(flights, "k");
  EXPECT_TRUE(Joins(flights, "k", flight));
  EXPECT_FALSE(Joins(flights, "other", flight));
  flight->Publish(Loaded("v"));
  EXPECT_TRUE(Joins(flights, "k", flight)) << "what it loaded may not be stored yet";
  EXPECT_EQ(flight->Wait(std::chrono::milliseconds(0))->value->value.bytes(), "v");
  flights.End(*flight);
  EXPECT_FALSE(Joins(flights, "k", flight));
}

TEST(Flights, AWaitEndsWithoutAnOutcome) {
  Flights flights;
  const std::shared_ptr<Flight> flight = Lead(flights, "k");
  EXPECT_FALSE(flight->Wait(std::chrono::milliseconds(1)).has_value());
  EXPECT_FALSE(flight->Wait(std::chrono::milliseconds(-1)).has_value());
  flight->Publish(Loaded("v"));
  EXPECT_TRUE(flight->Wait(std::chrono::milliseconds::max()).has_value());
  flights.End(*flight);
}

TEST(Flights, WhoeverWantsToBeAloneJoinsNobody) {
  Flights flights;
  const std::shared_ptr<Flight> first = Lead(flights, "k");
  const Flights::Place second = flights.Board("default", "k", kAlone, nullptr);
  EXPECT_TRUE(second.leads);
  const Flights::Place third = flights.Board("default", "k", kAlone, nullptr);
  EXPECT_TRUE(third.leads);
  EXPECT_NE(third.flight, second.flight);
  EXPECT_TRUE(Joins(flights, "k", third.flight)) << "others may join it";
  for (const Flight* flight : {first.get(), second.flight.get()}) {
    EXPECT_TRUE(flights.BeginFill(*flight)) << "it was replaced, but nothing was written";
    flights.End(*flight);
    EXPECT_FALSE(flights.BeginFill(*flight)) << "it has ended";
  }
  EXPECT_TRUE(Joins(flights, "k", third.flight));
  flights.End(*third.flight);
}

TEST(Flights, AWriteSealsFlightsThatWereReplacedToo) {
  Flights flights;
  const std::shared_ptr<Flight> first = Lead(flights, "k");
  const Flights::Place second = flights.Board("default", "k", kAlone, nullptr);
  flights.Seal({"default", {"k"}});
  EXPECT_FALSE(flights.BeginFill(*first));
  EXPECT_FALSE(flights.BeginFill(*second.flight));
  flights.End(*second.flight);
  flights.End(*first);
}

TEST(Flights, AnUnwantedFlightIsReplacedOnce) {
  Flights flights;
  const std::shared_ptr<Flight> unwanted = Lead(flights, "k");
  const Flights::Place mine = flights.Board("default", "k", !kAlone, unwanted.get());
  EXPECT_TRUE(mine.leads);
  EXPECT_FALSE(flights.Board("default", "k", !kAlone, unwanted.get()).leads);
  flights.End(*unwanted);
  flights.End(*mine.flight);
}

// Rule 1 of flights.h.
TEST(Flights, ASealedFlightIsNeitherJoinedNorStored) {
  const std::vector<WriteScope> scopes = {
      {"default", {"a", "k"}}, {"default", {}, true}, {"default", {"a"}, true}, {"default", {"k", "k"}}};
  for (const WriteScope& scope : scopes) {
    Flights flights;
    const std::shared_ptr<Flight> flight = Lead(flights, "k");
    bool sent = false;
    flights.BeforeWrite(scope, [&] { sent = true; });
    EXPECT_TRUE(sent) << "it stores nothing, so there is nothing to wait for";
    EXPECT_FALSE(Joins(flights, "k", flight));
    EXPECT_FALSE(flights.BeginFill(*flight));
    flights.End(*flight);
  }
}

TEST(Flights, OtherKeysAndNamespacesAreLeftAlone) {
  Flights flights;
  const std::shared_ptr<Flight> flight = Lead(flights, "k");
  flights.Seal({"default", {"kk", ""}});
  flights.Seal({"other", {"k"}});
  flights.Seal({"other", {}, true});
  EXPECT_TRUE(Joins(flights, "k", flight));
  EXPECT_TRUE(flights.BeginFill(*flight));
  flights.End(*flight);
}

// Rule 2.
TEST(Flights, AWriteWaitsForEachFillUnderWay) {
  Flights flights;
  const std::shared_ptr<Flight> a = Lead(flights, "a"), b = Lead(flights, "b");
  ASSERT_TRUE(flights.BeginFill(*a));
  ASSERT_TRUE(flights.BeginFill(*b));
  std::vector<std::string> sent;
  flights.BeforeWrite({"default", {"a", "b", "a"}}, [&] { sent.emplace_back("both"); });
  flights.BeforeWrite({"default", {"a"}}, [&] { sent.emplace_back("a"); });
  flights.BeforeWrite({"default", {}, true}, [&] { sent.emplace_back("all"); });
  flights.BeforeWrite({"default", {"c"}}, [&] { sent.emplace_back("c"); });
  EXPECT_EQ(sent, std::vector<std::string>({"c"}));
  flights.End(*a);
  EXPECT_EQ(sent, std::vector<std::string>({"c", "a"}));
  flights.End(*b);
  EXPECT_EQ(sent, std::vector<std::string>({"c", "a", "both", "all"}));
}

TEST(Flights, AFillOfAReplacedFlightIsWaitedForToo) {
  Flights flights;
  const std::shared_ptr<Flight> first = Lead(flights, "k");
  ASSERT_TRUE(flights.BeginFill(*first));
  const Flights::Place second = flights.Board("default", "k", kAlone, nullptr);
  ASSERT_TRUE(second.leads);
  ASSERT_TRUE(flights.BeginFill(*second.flight));
  int sent = 0;
  flights.BeforeWrite({"default", {"k"}}, [&] { ++sent; });
  flights.End(*second.flight);
  EXPECT_EQ(sent, 0);
  flights.End(*first);
  EXPECT_EQ(sent, 1);
}

TEST(Flights, AFillThatBeginsAfterTheWriteIsNotWaitedFor) {
  Flights flights;
  const std::shared_ptr<Flight> old = Lead(flights, "k");
  ASSERT_TRUE(flights.BeginFill(*old));
  int sent = 0;
  flights.BeforeWrite({"default", {"k"}}, [&] { ++sent; });
  const std::shared_ptr<Flight> later = Lead(flights, "k");
  EXPECT_TRUE(flights.BeginFill(*later)) << "its loader began after the write did";
  flights.End(*old);
  EXPECT_EQ(sent, 1);
  flights.End(*later);
}

// Rule 3.
TEST(Flights, TheSecondSealTakesFlightsThatBeganMeanwhile) {
  Flights flights;
  flights.BeforeWrite({"default", {"k"}}, [] {});
  const std::shared_ptr<Flight> meanwhile = Lead(flights, "k");
  flights.Seal({"default", {"k"}});
  EXPECT_FALSE(Joins(flights, "k", meanwhile));
  EXPECT_FALSE(flights.BeginFill(*meanwhile));
  flights.End(*meanwhile);
}

// Rule 4.
TEST(Flights, AWriteOfGroupsSealsAllFlightsAgainstBeingJoined) {
  Flights flights;
  const std::shared_ptr<Flight> flight = Lead(flights, "a");
  const std::shared_ptr<Flight> elsewhere = Lead(flights, "k", "other");
  flights.BeforeWrite({"default", {}, false, /*groups=*/true}, [] {});
  EXPECT_FALSE(Joins(flights, "a", flight));
  EXPECT_TRUE(flights.BeginFill(*flight)) << "the service knows whether the groups concern it";
  EXPECT_FALSE(flights.Board("other", "k", !kAlone, nullptr).leads);
  flights.End(*flight);
  flights.End(*elsewhere);
}

TEST(Flights, AWriteOfGroupsWaitsForFillsOfTheKeysThatItNamesOnly) {
  Flights flights;
  const std::shared_ptr<Flight> grouped = Lead(flights, "a"), named = Lead(flights, "c");
  ASSERT_TRUE(flights.BeginFill(*grouped));
  ASSERT_TRUE(flights.BeginFill(*named));
  std::vector<std::string> sent;
  flights.BeforeWrite({"default", {}, false, /*groups=*/true}, [&] { sent.emplace_back("groups"); });
  flights.BeforeWrite({"default", {"c"}, false, /*groups=*/true}, [&] { sent.emplace_back("groups and c"); });
  EXPECT_EQ(sent, std::vector<std::string>({"groups"}));
  flights.End(*named);
  EXPECT_EQ(sent, std::vector<std::string>({"groups", "groups and c"}));
  flights.End(*grouped);
}

// COHERENCE W5: the service may have given its lease to another.
TEST(Flights, AClosedFlightIsNotJoinedButMayTryToStore) {
  Flights flights;
  const std::shared_ptr<Flight> flight = Lead(flights, "k");
  const int64_t now = SystemClock().NowNanos();
  flight->CloseAt(now + 3600 * kNanosPerSecond);
  EXPECT_TRUE(Joins(flights, "k", flight));
  flight->CloseAt(now);
  const Flights::Place next = flights.Board("default", "k", !kAlone, nullptr);
  EXPECT_TRUE(next.leads);
  EXPECT_TRUE(Joins(flights, "k", next.flight));
  EXPECT_TRUE(flights.BeginFill(*flight)) << "the service knows whether it still may";
  flights.End(*flight);
  flights.End(*next.flight);
}

}  // namespace
}  // namespace larder::internal
