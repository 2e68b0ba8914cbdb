// The booking API straight from its database.
#ifndef CLIENT_EXAMPLES_BOOKINGS_SQL_BOOKINGS_H_
#define CLIENT_EXAMPLES_BOOKINGS_SQL_BOOKINGS_H_

#include <array>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/examples/bookings/booking_service.h"
#include "client/examples/bookings/database.h"
#include "client/examples/bookings/endpoint.h"
#include "client/examples/bookings/sql_session.h"

namespace bookings {

// Every read is one transaction, so that the parts of an answer belong together. Thread-safe.
class SqlBookings final : public BookingService {
 public:
  // `database` is not owned and must outlive this.
  explicit SqlBookings(Database* database) : database_(*database) {}

  absl::StatusOr<Settings> GetSettings(int64_t location) override;
  absl::StatusOr<Catalogue> GetCatalogue(int64_t location) override;
  absl::StatusOr<Service> GetService(const ServiceOfLocation& which) override;
  absl::StatusOr<Availability> GetAvailability(const StaffDay& when) override;
  absl::StatusOr<Dashboard> GetDashboard(int64_t location) override;
  absl::StatusOr<Report> GetReport(int64_t location, int64_t year) override;
  absl::StatusOr<TransactionsPage> GetTransactions(const TransactionsQuery& query) override;

  absl::StatusOr<Change> Book(const Booking& booking) override;
  absl::StatusOr<Change> Reschedule(const Rescheduling& rescheduling) override;
  absl::StatusOr<Change> Refund(const Cancellation& cancellation) override;
  absl::StatusOr<Change> Reprice(const Repricing& repricing) override;
  absl::StatusOr<Change> Rename(const Renaming& renaming) override;
  absl::StatusOr<Change> SetGrant(const Grant& grant) override;

  // Statements run so far, those aside that only fetch the version that an answer carries.
  std::array<int64_t, kEndpoints> queries() const { return queries_.Values(); }

 private:
  // Runs `read` in a transaction; it begins with the location's version.
  template <typename Answer>
  absl::StatusOr<Answer> Read(Endpoint endpoint, int64_t location,
                              absl::FunctionRef<absl::Status(SqlSession&, Answer&)> read);
  // Runs `write` in a transaction, and gives the location its next version.
  absl::StatusOr<Change> Write(Endpoint endpoint, int64_t location,
                               absl::FunctionRef<absl::Status(SqlSession&, Change&)> write);

  Database& database_;
  EndpointCounters queries_;
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_SQL_BOOKINGS_H_
