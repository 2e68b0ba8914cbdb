#include "client/examples/bookings/next_reads.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "client/examples/bookings/endpoint.h"
#include "client/examples/bookings/schema.h"

namespace bookings {
namespace {

constexpr int64_t kMonday = kToday + 3;
constexpr int64_t kTuesday = kToday + 4;

class Round {
 public:
  Round(BookingService& cached, BookingService& database, const Population& population, int64_t number,
        NextReads& result)
      : cached_(cached),
        database_(database),
        number_(number),
        location_(number % population.locations + 1),
        customer_(population.CustomerId(location_, number % population.customers)),
        monday_{location_, Population::StaffId(location_, number % Population::kStaff), kMonday},
        tuesday_{location_, Population::StaffId(location_, (number + 1) % Population::kStaff), kTuesday},
        service_{location_, Population::ServiceId(location_, number % Population::kServices)},
        result_(result) {}

  void Run() {
    CompareAll("before");
    const int64_t user = Population::UserId(location_, 0);
    if (Wrote("repricing", cached_.Reprice({service_, 77700 + number_}))) CompareAll("after a repricing");
    for (const bool may_see_emails : {false, true}) {
      if (Wrote("grant", cached_.SetGrant({location_, user, may_see_emails}))) CompareAll("after a grant");
    }
    const std::optional<int64_t> appointment = Book();
    if (!appointment.has_value()) return;  // a full day; the next round has another one
    CompareAll("after a booking");
    const std::string name = "Customer of round " + std::to_string(number_);
    if (Wrote("renaming", cached_.Rename({location_, customer_, name}))) CompareAll("after a renaming");
    if (Move(*appointment)) CompareAll("after a rescheduling");
    if (Wrote("refund", cached_.Refund({location_, *appointment}))) CompareAll("after a refund");
  }

 private:
  std::optional<int64_t> Book() {
    const std::optional<int64_t> minute = FirstStart(monday_);
    if (!minute.has_value()) return std::nullopt;
    const absl::StatusOr<Change> change = cached_.Book({monday_, *minute, service_.service, customer_});
    if (!Wrote("booking", change)) return std::nullopt;
    return change->appointment;
  }

  bool Move(int64_t appointment) {
    const std::optional<int64_t> minute = FirstStart(tuesday_);
    return minute.has_value() && Wrote("rescheduling", cached_.Reschedule({appointment, tuesday_, *minute}));
  }

  std::optional<int64_t> FirstStart(const StaffDay& when) {
    const absl::StatusOr<Availability> free = database_.GetAvailability(when);
    if (!free.ok()) return std::nullopt;
    const std::vector<int64_t> starts = StartsForAnyService(*free);
    if (starts.empty()) return std::nullopt;
    return starts.front();
  }

  bool Wrote(std::string_view what, const absl::StatusOr<Change>& change) {
    if (change.ok() && change->is_visible) {
      ++result_.writes;
      return true;
    }
    result_.wrong.push_back(std::string(what) + ": " +
                            (change.ok() ? "the invalidation failed" : change.status().ToString()));
    return false;
  }

  void CompareAll(std::string_view when) {
    const int64_t year = MonthOf(kToday) / 100;
    Compare(Endpoint::kSettings, when, [&](BookingService& service) { return service.GetSettings(location_); });
    Compare(Endpoint::kCatalogue, when, [&](BookingService& service) { return service.GetCatalogue(location_); });
    Compare(Endpoint::kService, when, [&](BookingService& service) { return service.GetService(service_); });
    Compare(Endpoint::kAvailability, when, [&](BookingService& service) { return service.GetAvailability(monday_); });
    Compare(Endpoint::kAvailability, when, [&](BookingService& service) { return service.GetAvailability(tuesday_); });
    Compare(Endpoint::kDashboard, when, [&](BookingService& service) { return service.GetDashboard(location_); });
    Compare(Endpoint::kReport, when, [&](BookingService& service) { return service.GetReport(location_, year); });
    for (int64_t number = 0; number < Population::kUsers; ++number) {
      const TransactionsQuery query = {location_, Population::UserId(location_, number), 0};
      Compare(Endpoint::kTransactions, when, [&](BookingService& service) { return service.GetTransactions(query); });
    }
  }

  // The versions may differ: what this was cached with may have had other writes since.
  template <typename Call>
  void Compare(Endpoint endpoint, std::string_view when, Call call) {
    auto answer = call(cached_);
    auto expected = call(database_);
    ++result_.compared;
    if (answer.ok() && expected.ok()) {
      answer->clear_version();
      expected->clear_version();
      if (answer->SerializeAsString() == expected->SerializeAsString()) return;
    }
    result_.wrong.push_back(std::string(kEndpointNames[IndexOf(endpoint)]) + " of location " +
                            std::to_string(location_) + " " + std::string(when) +
                            (answer.ok() ? ": not what the database says" : ": " + answer.status().ToString()));
  }

  BookingService& cached_;
  BookingService& database_;
  const int64_t number_;
  const int64_t location_;
  const int64_t customer_;
  const StaffDay monday_;
  const StaffDay tuesday_;
  const ServiceOfLocation service_;
  NextReads& result_;
};

}  // namespace

NextReads CheckNextReads(BookingService& cached, BookingService& database, const Population& population, int rounds) {
  NextReads result;
  for (int64_t number = 0; number < rounds; ++number) Round(cached, database, population, number, result).Run();
  return result;
}

}  // namespace bookings
