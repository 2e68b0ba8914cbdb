// The C++ of docs/client.md, which client_guide_test.py holds against this: here to be compiled and run.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "larder/cached.h"
#include "larder/client.h"
#include "larder/entity.h"
#include "larder/invalidating.h"
#include "larder/json.h"
#include "larder/key_builder.h"
#include "larder/observer.h"
#include "larder/testing/fake_cache.h"
#include "larder/warm_job.h"

// Not called: there is no such service here.
namespace guide {

absl::StatusOr<std::unique_ptr<larder::Client>> Connect() {
  larder::ClientOptions options;
  options.target = "dns:///larder-headless:50051";
  options.name_space = "shop";
  return larder::Client::Connect(std::move(options));
}

}  // namespace guide

namespace {

absl::Status GetAndSet(larder::Cache& cache) {
  absl::StatusOr<larder::SetResult> set = cache.Set("greeting", "hello", {.ttl = std::chrono::minutes(5)});
  if (!set.ok()) return set.status();

  absl::StatusOr<larder::MaybeHit> hit = cache.Get("greeting");
  if (!hit.ok()) return hit.status();
  if (hit->has_value()) std::cout << (*hit)->value.bytes() << '\n';  // or else it is a miss

  // Only if nobody changed it since; otherwise ABORTED, and larder::CurrentVersion(status) says what is there.
  const larder::Condition unchanged = larder::Condition::IfVersion(set->version);
  return cache.Set("greeting", "hi", {.ttl = "static", .condition = unchanged}).status();
}

TEST(ClientGuide, GetsAndSets) {
  larder::testing::FakeCache cache;
  EXPECT_EQ(GetAndSet(cache), absl::OkStatus());
}

absl::Status SetMore(larder::Cache& cache) {
  larder::SetOptions options;
  options.ttl = std::chrono::minutes(5);
  options.stale_for = std::chrono::minutes(10);  // after that; the namespace's if it is not given
  options.tags = {"shop:7", "prices"};           // groups that the entry can be invalidated by
  options.sliding = true;                        // each Get gives it its five minutes anew
  absl::Status stored = cache.Set("price:7", "250", options).status();
  absl::Status none = cache.Set("price:8", "", {.absent = true}).status();  // it is known that there is none
  stored.Update(none);
  return stored;
}

absl::Status Drop(larder::Cache& cache) {
  larder::Invalidation what;
  what.keys = {"price:7"};
  what.tags = {"shop:7"};
  what.patterns = {"availability?*staff=3*"};  // *: any bytes, ?: any one byte; there is no escape
  what.entities = {{.name = "client", .fields = {{"id", "7"}}}};
  what.mode = larder::InvalidationMode::kSoft;      // stale instead of gone
  what.consistency = larder::Consistency::kStrong;  // returns once no replica serves what was there before
  absl::StatusOr<larder::InvalidateResult> dropped = cache.Invalidate(what);
  return dropped.status();
}

TEST(ClientGuide, SetsAndDropsGroups) {
  larder::testing::FakeCache cache({.entities = {{"client", {.tags = {"client:{id}"}}}}});
  EXPECT_EQ(SetMore(cache), absl::OkStatus());
  EXPECT_EQ(Drop(cache), absl::OkStatus());
  EXPECT_EQ((*cache.Get("price:7"))->freshness, larder::Freshness::kStale);
  EXPECT_TRUE((*cache.Get("price:8"))->absent);
}

struct Price {
  static constexpr std::string_view kJsonType = "shop.Price";
  int64_t cents = 0;
  std::string currency;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Price, cents, currency)

}  // namespace

template <>
struct larder::Codec<Price> : larder::JsonCodec<Price> {};

namespace {

TEST(ClientGuide, KnowsTypes) {
  larder::testing::FakeCache cache;
  ASSERT_TRUE(cache.SetAs("price:7", Price{250, "EUR"}, {.ttl = "static"}).ok());
  absl::StatusOr<std::optional<Price>> price = cache.GetAs<Price>("price:7");
  ASSERT_TRUE(price.ok() && price->has_value());
  EXPECT_EQ((*price)->cents, 250);
}

struct Booking {
  int staff = 0;
  std::chrono::year_month_day day;
};

// Where the guide's data comes from.
struct Database {
  absl::StatusOr<Price> LoadPrice(int /*product*/) { return Price{250, "EUR"}; }
  absl::StatusOr<std::optional<Price>> FindPrice(int /*product*/) { return std::nullopt; }
  absl::StatusOr<Price> LoadPriceOf(const std::string& /*key*/) { return Price{250, "EUR"}; }
  std::vector<std::string> PriceKeys() { return {"price:7", "price:8"}; }
  std::string FreeTimes(int /*staff*/, std::chrono::year_month_day /*day*/) { return "9:00"; }
  std::string Dashboard(const std::string& user, int /*week*/) { return "of " + user; }
  absl::StatusOr<int64_t> Insert(const Booking& /*booking*/) { return 1; }
  absl::Status Move(const Booking& /*booking*/, std::chrono::year_month_day /*to*/) { return absl::OkStatus(); }
};

absl::StatusOr<Price> LoadOne(larder::Cache& cache, Database& db) {
  return cache.GetOrLoad<Price>("price:7", "static", [&] { return db.LoadPrice(7); });
}

absl::StatusOr<std::optional<Price>> LoadOneOrNone(larder::Cache& cache, Database& db) {
  larder::LoadReport report;
  larder::LoadOptions options;
  options.absent_ttl = std::chrono::seconds(30);
  options.report = &report;
  auto price = cache.GetOrLoad<std::optional<Price>>(
      "price:7", "static", [&] { return db.FindPrice(7); }, options);
  if (!report.read.ok()) std::cerr << "went on without the cache: " << report.read << '\n';
  return price;
}

TEST(ClientGuide, Loads) {
  larder::testing::FakeCache cache;
  Database db;
  EXPECT_EQ(*LoadOneOrNone(cache, db), std::nullopt);
  EXPECT_EQ(LoadOne(cache, db)->cents, 250);
}

TEST(ClientGuide, BuildsKeys) {
  const int staff = 3;
  const std::chrono::year_month_day day(std::chrono::year(2026), std::chrono::month(5), std::chrono::day(1));
  larder::KeyBuilder builder("availability");
  std::string key = builder.With("staff", staff).With("day", day).Page(2, 50).Scope("ada").Build();
  EXPECT_EQ(key, "availability?day=2026-05-01&staff=3#2,50@ada");
}

absl::Status BookOne(larder::Cache& cache, Database& db, const Booking& booking) {
  auto free_times = larder::Cached<std::string>(
      cache, {.prefix = "availability", .ttl = std::chrono::minutes(5), .names = {"staff", "day"}},
      [&](int staff, std::chrono::year_month_day day) { return db.FreeTimes(staff, day); });
  absl::StatusOr<std::string> times = free_times(3, booking.day);  // cached as availability?day=2026-05-01&staff=3

  auto dashboard =
      larder::Cached<std::string>(cache, {.prefix = "dashboard", .ttl = "analytics"},
                                  larder::ScopedBy([](const std::string& user, int) { return user; }),
                                  [&](const std::string& user, int week) { return db.Dashboard(user, week); });

  auto booked_on = larder::Cached<std::string>(cache, {.ttl = "user"}, larder::KeyedBy([](const Booking& b) {
                                                 return larder::KeyBuilder("booked").With("day", b.day).Build();
                                               }),
                                               [&](const Booking& b) { return db.FreeTimes(b.staff, b.day); });

  auto book = larder::Invalidating(
      cache, [&](const Booking& b) { return db.Insert(b); },
      [&](int64_t /*id*/, const Booking& b) {
        return std::vector<std::string>{free_times.Key(b.staff, b.day), booked_on.Key(b)};
      });
  absl::StatusOr<larder::Written<int64_t>> written = book(booking);
  if (!written.ok()) return written.status();  // nothing was written, nothing was invalidated
  if (!written->invalidation.ok()) std::cerr << "stale until it expires: " << written->invalidation << '\n';

  return times.ok() ? dashboard("ada", 18).status() : times.status();
}

TEST(ClientGuide, CachesFunctionsAndInvalidates) {
  larder::testing::FakeCache cache;
  Database db;
  const std::chrono::year_month_day day(std::chrono::year(2026), std::chrono::month(5), std::chrono::day(1));
  EXPECT_EQ(BookOne(cache, db, {.staff = 3, .day = day}), absl::OkStatus());
  EXPECT_FALSE(cache.Contains("availability?day=2026-05-01&staff=3"));
  EXPECT_TRUE(cache.Contains("dashboard?0=ada&1=18@ada"));
}

TEST(ClientGuide, MeetsInEntities) {
  larder::testing::FakeCache cache;
  Database db;
  auto slots = larder::Cached<std::string>(
      cache,
      {.prefix = "slots",
       .ttl = "user",
       .invalidate_on = {larder::InvalidateOn("appointment").Field("staff_id", 0).Field("date", 1),
                         larder::InvalidateOn("opening_hours")}},
      [&](int staff, std::chrono::year_month_day day) { return db.FreeTimes(staff, day); });

  auto reschedule = larder::Invalidating(
      cache, [&](const Booking& b, std::chrono::year_month_day to) { return db.Move(b, to); },
      [](const Booking& b, std::chrono::year_month_day to) {
        larder::Invalidation stale = larder::EntityChanged("appointment", {{"staff_id", b.staff}, {"date", b.day}});
        stale += larder::EntityChanged("appointment", {{"staff_id", b.staff}, {"date", to}});
        return stale;
      });

  const std::chrono::year_month_day first(std::chrono::year(2026), std::chrono::month(5), std::chrono::day(1));
  const std::chrono::year_month_day second(std::chrono::year(2026), std::chrono::month(5), std::chrono::day(2));
  for (const int staff : {3, 4}) {
    for (const auto day : {first, second}) EXPECT_TRUE(slots(staff, day).ok());
  }
  EXPECT_TRUE(reschedule({.staff = 3, .day = first}, second)->invalidation.ok());
  EXPECT_FALSE(cache.Contains(slots.Key(3, first)));
  EXPECT_FALSE(cache.Contains(slots.Key(3, second)));
  EXPECT_TRUE(cache.Contains(slots.Key(4, second)));
  EXPECT_TRUE(cache.Invalidate(larder::EntityChanged("opening_hours", {{"day", 5}})).ok());
  EXPECT_EQ(cache.size(), 0u);
}

absl::Status Warm(larder::Cache& cache, Database& db) {
  larder::WarmJob::Options options;
  options.name = "prices";
  options.keys = [&] { return db.PriceKeys(); };
  options.ttl = "static";
  options.concurrency = 8;
  options.every = std::chrono::minutes(30);
  options.ended = [](const absl::StatusOr<larder::WarmJob::Progress>& run) {
    if (run.ok()) std::cout << run->loaded << " of " << run->total << " prices loaded\n";
  };
  auto job = larder::WarmJob::For<Price>(cache, options, [&](const std::string& key) { return db.LoadPriceOf(key); });
  if (!job.ok()) return job.status();

  absl::StatusOr<larder::WarmJob::Progress> run = (*job)->RunOnce();  // now, on this thread
  (*job)->Start();                                                    // every half an hour, on its own
  return run.status();
}

TEST(ClientGuide, Warms) {
  larder::testing::FakeCache cache;
  Database db;
  EXPECT_EQ(Warm(cache, db), absl::OkStatus());
  EXPECT_EQ(cache.size(), 2u);
}

void Tune(larder::ClientOptions& options) {
  options.near.capacity_bytes = 64 << 20;
  options.near.max_age = std::chrono::milliseconds(500);
  options.near.lease = std::chrono::milliseconds(1000);

  options.routing = larder::Routing::kKeyAffinity;
}

TEST(ClientGuide, Tunes) {
  larder::ClientOptions options;
  Tune(options);
  EXPECT_EQ(options.near.capacity_bytes, size_t{64} << 20);
}

class Metrics : public larder::Observer {
 public:
  void OnRead(const larder::ReadReport& read) override {
    hits_ += read.near_hits + read.hits;
    misses_ += read.misses;
  }
  void OnState(larder::ServiceState state, const absl::Status& why) override {
    if (state == larder::ServiceState::kDown) std::cerr << "the cache is down: " << why << '\n';
  }
  int64_t hits() const { return hits_; }
  int64_t misses() const { return misses_; }

 private:
  std::atomic<int64_t> hits_{0};
  std::atomic<int64_t> misses_{0};
};

TEST(ClientGuide, IsObserved) {
  Metrics metrics;
  larder::testing::FakeCache cache({.observer = &metrics});
  EXPECT_TRUE(cache.Get("nothing").ok());
  EXPECT_EQ(metrics.misses(), 1);
  EXPECT_EQ(metrics.hits(), 0);
}

class Catalogue {
 public:
  Catalogue(larder::Cache* cache, Database* db) : cache_(cache), db_(db) {}

  absl::StatusOr<Price> PriceOf(int product) {
    return cache_->GetOrLoad<Price>(larder::KeyBuilder("price").With("product", product).Build(), "user",
                                    [&] { return db_->LoadPrice(product); });
  }

 private:
  larder::Cache* cache_;
  Database* db_;
};

TEST(CatalogueTest, CachesPrices) {
  larder::testing::FakeCache cache;
  Database db;
  Catalogue catalogue(&cache, &db);
  EXPECT_TRUE(catalogue.PriceOf(7).ok());
  EXPECT_TRUE(cache.Contains("price?product=7"));
  cache.Advance(std::chrono::minutes(6));  // past the TTL
  EXPECT_FALSE(cache.Contains("price?product=7"));
  cache.SetDown(true);
  EXPECT_TRUE(catalogue.PriceOf(7).ok());  // it goes on without the cache
}

}  // namespace
