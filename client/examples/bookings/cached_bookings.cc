#include "client/examples/bookings/cached_bookings.h"

#include <chrono>
#include <utility>

#include "client/examples/bookings/schema.h"
#include "larder/invalidating.h"
#include "larder/key_builder.h"
#include "larder/load.h"

namespace bookings {
namespace {

// A write can wait longer for the cache than a read, which can go to the database instead.
constexpr std::chrono::seconds kInvalidationDeadline(2);

}  // namespace

CachedBookings::CachedBookings(larder::Cache* cache, SqlBookings* database, CachedBookingsOptions options)
    : cache_(*cache), database_(*database), options_(std::move(options)) {}

// --- keys ------------------------------------------------------------------------------------------------------------

std::string CachedBookings::LocationKey(std::string_view what, int64_t location) const {
  return larder::KeyBuilder(options_.key_prefix + ":" + std::string(what)).With("location", location).Build();
}

std::string CachedBookings::AvailabilityKey(const StaffDay& when) const {
  return larder::KeyBuilder(options_.key_prefix + ":availability")
      .With("location", when.location)
      .With("staff", when.staff)
      .With("day", when.day)
      .Build();
}

std::string CachedBookings::ReportKey(int64_t location, int64_t year) const {
  return larder::KeyBuilder(options_.key_prefix + ":report").With("location", location).With("year", year).Build();
}

std::string CachedBookings::PageKey(const TransactionsQuery& query, int64_t generation) const {
  return larder::KeyBuilder(options_.key_prefix + ":transactions")
      .With("location", query.location)
      .With("generation", generation)
      .Page(static_cast<uint64_t>(query.page), static_cast<uint64_t>(kTransactionsPerPage))
      .Scope(std::to_string(query.user))  // users may see different things of the same page
      .Build();
}

// --- reads -----------------------------------------------------------------------------------------------------------

template <typename Answer, typename Loader>
absl::StatusOr<Answer> CachedBookings::Read(Endpoint endpoint, const std::string& key, const char* ttl_class,
                                            Loader loader) {
  larder::LoadReport report;
  larder::LoadOptions options;
  options.report = &report;
  absl::StatusOr<Answer> answer = cache_.GetOrLoad<Answer>(key, ttl_class, std::move(loader), options);
  ++(report.source == larder::LoadReport::Source::kCache ? hits_ : misses_)[endpoint];
  if (!report.read.ok()) ++failed_reads_;
  if (!report.write.ok()) ++failed_fills_;
  return answer;
}

absl::StatusOr<Settings> CachedBookings::GetSettings(int64_t location) {
  return Read<Settings>(Endpoint::kSettings, LocationKey("settings", location), "static",
                        [&] { return database_.GetSettings(location); });
}

absl::StatusOr<Catalogue> CachedBookings::GetCatalogue(int64_t location) {
  return Read<Catalogue>(Endpoint::kCatalogue, LocationKey("catalogue", location), "static",
                         [&] { return database_.GetCatalogue(location); });
}

absl::StatusOr<Availability> CachedBookings::GetAvailability(const StaffDay& when) {
  return Read<Availability>(Endpoint::kAvailability, AvailabilityKey(when), "realtime",
                            [&] { return database_.GetAvailability(when); });
}

absl::StatusOr<Dashboard> CachedBookings::GetDashboard(int64_t location) {
  return Read<Dashboard>(Endpoint::kDashboard, LocationKey("dashboard", location), "user",
                         [&] { return database_.GetDashboard(location); });
}

absl::StatusOr<Report> CachedBookings::GetReport(int64_t location, int64_t year) {
  return Read<Report>(Endpoint::kReport, ReportKey(location, year), "analytics",
                      [&] { return database_.GetReport(location, year); });
}

// Nobody knows which pages of which users are cached, so a write cannot name their keys. It names one entry instead,
// the list's generation, which is part of every page's key: the pages of an old one are reached no more, and expire.
// That costs a page a second read of the cache; tags, when the service has them, will do without it.
absl::StatusOr<TransactionsPage> CachedBookings::GetTransactions(const TransactionsQuery& query) {
  const absl::StatusOr<ListGeneration> generation = cache_.GetOrLoad<ListGeneration>(
      LocationKey("transactions-generation", query.location), "user", [&]() -> absl::StatusOr<ListGeneration> {
        // The location's version, because it never was the same before.
        const absl::StatusOr<int64_t> version = database_.GetVersion(query.location, Endpoint::kTransactions);
        if (!version.ok()) return version.status();
        ListGeneration fresh;
        fresh.set_version(*version);
        return fresh;
      });
  if (!generation.ok()) return generation.status();
  return Read<TransactionsPage>(Endpoint::kTransactions, PageKey(query, generation->version()), "user",
                                [&] { return database_.GetTransactions(query); });
}

// --- writes ----------------------------------------------------------------------------------------------------------

std::vector<std::string> CachedBookings::StaleAfter(const Change& change) const {
  std::vector<std::string> keys;
  const auto add = [&](Forgotten name, std::string key) {
    if (options_.forgotten != name) keys.push_back(std::move(key));
  };
  for (const StaffDay& day : change.days) add(Forgotten::kAvailability, AvailabilityKey(day));
  add(Forgotten::kDashboard, LocationKey("dashboard", change.location));
  if (change.money_moved) {
    add(Forgotten::kReport, ReportKey(change.location, MonthOf(kToday) / 100));
    add(Forgotten::kTransactions, LocationKey("transactions-generation", change.location));
  }
  return keys;
}

// Loads of this process that are under way store nothing after this. Those of another process may, until the service
// gives leases: then what they read before the write is served until its TTL ends.
absl::StatusOr<Change> CachedBookings::Write(absl::FunctionRef<absl::StatusOr<Change>()> write) {
  const auto invalidating = larder::Invalidating(
      cache_, [&]() { return write(); }, [this](const Change& change) { return StaleAfter(change); },
      {.deadline = kInvalidationDeadline});
  absl::StatusOr<larder::Written<Change>> written = invalidating();
  if (!written.ok()) return written.status();
  written->result.is_visible = written->invalidation.ok();
  if (!written->invalidation.ok()) ++failed_invalidations_;
  return std::move(written->result);
}

absl::StatusOr<Change> CachedBookings::Book(const Booking& booking) {
  return Write([&] { return database_.Book(booking); });
}

absl::StatusOr<Change> CachedBookings::Reschedule(const Rescheduling& rescheduling) {
  return Write([&] { return database_.Reschedule(rescheduling); });
}

absl::StatusOr<Change> CachedBookings::Refund(const Cancellation& cancellation) {
  return Write([&] { return database_.Refund(cancellation); });
}

CachedBookings::Counts CachedBookings::counts() const {
  return {hits_.Values(), misses_.Values(), failed_reads_, failed_fills_, failed_invalidations_};
}

}  // namespace bookings
