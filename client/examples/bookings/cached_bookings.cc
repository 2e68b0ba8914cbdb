#include "client/examples/bookings/cached_bookings.h"

#include <google/protobuf/util/json_util.h>

#include <chrono>
#include <string_view>
#include <utility>

#include "client/examples/bookings/schema.h"
#include "larder/invalidating.h"

namespace bookings {
namespace {

using larder::EntityChanged;
using larder::InvalidateOn;

// A write can wait longer for the cache than a read, which can go to the database instead.
constexpr std::chrono::seconds kInvalidationDeadline(2);
// As can a read that has nowhere else to go, and for the origin besides.
constexpr std::chrono::seconds kReadThroughDeadline(2);
constexpr std::chrono::seconds kWaitForOrigin(5);

// A writer names every field that some reader declares.
larder::Invalidation StaleAfter(const Change& change) {
  larder::Invalidation stale;
  for (const StaffDay& at : change.days) {
    stale += EntityChanged("appointment", {{"location", at.location}, {"staff", at.staff}, {"day", at.day}});
  }
  if (change.money_moved) {
    stale += EntityChanged("payment", {{"location", change.location}, {"year", MonthOf(kToday) / 100}});
  }
  if (change.service != 0) stale += EntityChanged("service", {{"location", change.location}, {"id", change.service}});
  if (change.client != 0) stale += EntityChanged("client", {{"location", change.location}});
  if (change.user != 0) stale += EntityChanged("user", {{"id", change.user}});
  return stale;
}

}  // namespace

// --- what is cached, and what makes it stale -------------------------------------------------------------------------

CachedBookings::CachedBookings(larder::Cache* cache, SqlBookings* database, CachedBookingsOptions options)
    : cache_(*cache),
      database_(*database),
      options_(std::move(options)),
      settings_(larder::Cached<Settings>(  //
          cache_, Declare(Endpoint::kSettings, "static", {"location"}, {}),
          [this](int64_t location) { return database_.GetSettings(location); })),
      catalogue_(larder::Cached<Catalogue>(
          cache_, Declare(Endpoint::kCatalogue, "static", {"location"}, {InvalidateOn("service").Field("location", 0)}),
          [this](int64_t location) { return database_.GetCatalogue(location); })),
      service_(larder::Cached<Service>(
          cache_, Declare(Endpoint::kService, "static", {"location", "id"}, {InvalidateOn("service").Field("id", 1)}),
          [this](int64_t location, int64_t id) {
            return database_.GetService({location, id});
          })),
      availability_(
          larder::Cached<Availability>(cache_,
                                       Declare(Endpoint::kAvailability, "realtime", {"location", "staff", "day"},
                                               {InvalidateOn("appointment").Field("staff", 1).Field("day", 2)}),
                                       [this](int64_t location, int64_t staff, int64_t day) {
                                         return database_.GetAvailability({location, staff, day});
                                       })),
      dashboard_(larder::Cached<Dashboard>(
          cache_,
          Declare(Endpoint::kDashboard, "user", {"location"},
                  {InvalidateOn("appointment").Field("location", 0), InvalidateOn("payment").Field("location", 0)}),
          [this](int64_t location) { return database_.GetDashboard(location); })),
      // Last year's stays when somebody pays today.
      report_(larder::Cached<Report>(
          cache_,
          Declare(Endpoint::kReport, "analytics", {"location", "year"},
                  {InvalidateOn("payment").Field("location", 0).Field("year", 1)}),
          [this](int64_t location, int64_t year) { return database_.GetReport(location, year); })),
      // Nobody knows which pages of which users are cached, nor needs to. Users may see different things of one page.
      transactions_(larder::Cached<TransactionsPage>(
          cache_,
          Declare(Endpoint::kTransactions, "user", {"location", "user", "page"},
                  {InvalidateOn("payment").Field("location", 0), InvalidateOn("client").Field("location", 0),
                   InvalidateOn("user").Field("id", 1)}),
          larder::ScopedBy([](int64_t, int64_t user, int64_t) { return std::to_string(user); }),
          [this](int64_t location, int64_t user, int64_t page) {
            return database_.GetTransactions({location, user, page});
          })) {}

larder::CachedOptions CachedBookings::Declare(Endpoint endpoint, larder::Ttl ttl, std::vector<std::string> names,
                                              std::vector<InvalidateOn> invalidate_on) {
  larder::CachedOptions declared;
  declared.prefix = options_.key_prefix + ":" + std::string(kEndpointNames[IndexOf(endpoint)]);
  declared.ttl = std::move(ttl);
  declared.names = std::move(names);
  if (options_.forgotten != endpoint) declared.invalidate_on = std::move(invalidate_on);
  declared.report = [this, endpoint](std::string_view /*key*/, const larder::LoadReport& report) {
    Count(endpoint, report);
  };
  return declared;
}

void CachedBookings::Count(Endpoint endpoint, const larder::LoadReport& report) {
  ++(report.source == larder::LoadReport::Source::kCache ? hits_ : misses_)[endpoint];
  if (!report.read.ok()) ++failed_reads_;
  if (!report.write.ok()) ++failed_fills_;
}

// --- what the origin loads -------------------------------------------------------------------------------------------

// A plain Get: what is missing the service asks the origin for, and keeps. Nothing is loaded or stored here.
template <typename Answer>
absl::StatusOr<Answer> CachedBookings::ReadThrough(Endpoint endpoint, const std::string& key) {
  const absl::StatusOr<larder::MaybeHit> read = cache_.Get(
      key, {.name_space = options_.origin_namespace, .deadline = kReadThroughDeadline, .wait = kWaitForOrigin});
  if (!read.ok()) return read.status();
  if (!read->has_value()) return absl::UnavailableError("neither the cache nor its origin has an answer");
  const larder::Hit& hit = **read;
  if (hit.absent) return absl::NotFoundError("there is no " + key);
  const bool was_loaded = hit.tier == larder::Tier::kOrigin;
  ++(was_loaded ? misses_ : hits_)[endpoint];
  if (was_loaded) ++origin_loads_[endpoint];
  Answer answer;
  if (!google::protobuf::util::JsonStringToMessage(std::string(hit.value.bytes()), &answer).ok()) {
    return absl::DataLossError(key + " is no answer");
  }
  return answer;
}

absl::StatusOr<Settings> CachedBookings::GetSettings(int64_t location) {
  if (options_.origin_namespace.empty()) return settings_(location);
  return ReadThrough<Settings>(Endpoint::kSettings, "settings:" + std::to_string(location));
}

absl::StatusOr<Service> CachedBookings::GetService(const ServiceOfLocation& which) {
  if (options_.origin_namespace.empty()) return service_(which.location, which.service);
  return ReadThrough<Service>(Endpoint::kService, "service:" + std::to_string(which.service));
}

// By a tag that the origin gives.
absl::Status CachedBookings::InvalidateInOrigin(const Change& change) {
  if (options_.origin_namespace.empty() || change.service == 0 || options_.forgotten == Endpoint::kService) {
    return absl::OkStatus();
  }
  return cache_
      .Invalidate({.tags = {"service:" + std::to_string(change.service)}},
                  {.name_space = options_.origin_namespace, .deadline = kInvalidationDeadline})
      .status();
}

// --- writes ----------------------------------------------------------------------------------------------------------

// What is being loaded meanwhile, here, by another process or by the origin, is not stored after this.
absl::StatusOr<Change> CachedBookings::Write(absl::FunctionRef<absl::StatusOr<Change>()> write) {
  const auto invalidating = larder::Invalidating(
      cache_, [&]() { return write(); }, [](const Change& change) { return StaleAfter(change); },
      {.deadline = kInvalidationDeadline});
  absl::StatusOr<larder::Written<Change>> written = invalidating();
  if (!written.ok()) return written.status();
  absl::Status invalidation = std::move(written->invalidation);
  invalidation.Update(InvalidateInOrigin(written->result));
  written->result.is_visible = invalidation.ok();
  if (!invalidation.ok()) ++failed_invalidations_;
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

absl::StatusOr<Change> CachedBookings::Reprice(const Repricing& repricing) {
  return Write([&] { return database_.Reprice(repricing); });
}

absl::StatusOr<Change> CachedBookings::Rename(const Renaming& renaming) {
  return Write([&] { return database_.Rename(renaming); });
}

absl::StatusOr<Change> CachedBookings::SetGrant(const Grant& grant) {
  return Write([&] { return database_.SetGrant(grant); });
}

CachedBookings::Counts CachedBookings::counts() const {
  return {hits_.Values(), misses_.Values(), origin_loads_.Values(),
          failed_reads_,  failed_fills_,    failed_invalidations_};
}

}  // namespace bookings
