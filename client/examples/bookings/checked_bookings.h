// The booking API with a checker at its door.
#ifndef CLIENT_EXAMPLES_BOOKINGS_CHECKED_BOOKINGS_H_
#define CLIENT_EXAMPLES_BOOKINGS_CHECKED_BOOKINGS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "client/examples/bookings/booking_service.h"
#include "client/examples/bookings/checker.h"

namespace bookings {

// Tells the checker of every call and hands it on. Thread-safe.
class CheckedBookings final : public BookingService {
 public:
  // Neither is owned; both must outlive this.
  CheckedBookings(BookingService* service, Checker* checker) : service_(*service), checker_(*checker) {}

  absl::StatusOr<Settings> GetSettings(int64_t location) override {
    return Read({Endpoint::kSettings, location}, [&] { return service_.GetSettings(location); });
  }
  absl::StatusOr<Catalogue> GetCatalogue(int64_t location) override {
    return Read({Endpoint::kCatalogue, location}, [&] { return service_.GetCatalogue(location); });
  }
  absl::StatusOr<Service> GetService(const ServiceOfLocation& which) override {
    return Read({Endpoint::kService, which.location, which.service}, [&] { return service_.GetService(which); });
  }
  absl::StatusOr<Availability> GetAvailability(const StaffDay& when) override {
    return Read({Endpoint::kAvailability, when.location, when.staff, when.day},
                [&] { return service_.GetAvailability(when); });
  }
  absl::StatusOr<Dashboard> GetDashboard(int64_t location) override {
    return Read({Endpoint::kDashboard, location}, [&] { return service_.GetDashboard(location); });
  }
  absl::StatusOr<Report> GetReport(int64_t location, int64_t year) override {
    return Read({Endpoint::kReport, location, year}, [&] { return service_.GetReport(location, year); });
  }
  absl::StatusOr<TransactionsPage> GetTransactions(const TransactionsQuery& query) override {
    return Read({Endpoint::kTransactions, query.location, query.user}, [&] { return service_.GetTransactions(query); });
  }

  absl::StatusOr<Change> Book(const Booking& booking) override { return Told(service_.Book(booking)); }
  absl::StatusOr<Change> Reschedule(const Rescheduling& rescheduling) override {
    return Told(service_.Reschedule(rescheduling));
  }
  absl::StatusOr<Change> Refund(const Cancellation& cancellation) override {
    return Told(service_.Refund(cancellation));
  }
  absl::StatusOr<Change> Reprice(const Repricing& repricing) override { return Told(service_.Reprice(repricing)); }
  absl::StatusOr<Change> Rename(const Renaming& renaming) override { return Told(service_.Rename(renaming)); }
  absl::StatusOr<Change> SetGrant(const Grant& grant) override { return Told(service_.SetGrant(grant)); }

 private:
  template <typename Call>
  auto Read(const Subject& subject, Call call) -> decltype(call()) {
    const int64_t wanted = checker_.Wanted(subject);
    auto answer = call();
    if (answer.ok()) checker_.OnRead(subject, wanted, answer->version());
    return answer;
  }

  absl::StatusOr<Change> Told(absl::StatusOr<Change> change) {
    if (change.ok() && change->is_visible) checker_.OnWrite(*change);
    return change;
  }

  BookingService& service_;
  Checker& checker_;
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_CHECKED_BOOKINGS_H_
