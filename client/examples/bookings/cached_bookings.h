// The booking API with a cache before its database.
#ifndef CLIENT_EXAMPLES_BOOKINGS_CACHED_BOOKINGS_H_
#define CLIENT_EXAMPLES_BOOKINGS_CACHED_BOOKINGS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/examples/bookings/booking_service.h"
#include "client/examples/bookings/endpoint.h"
#include "client/examples/bookings/sql_bookings.h"
#include "larder/cache.h"
#include "larder/cached.h"
#include "larder/entity.h"
#include "larder/load.h"
#include "larder/ttl.h"

namespace bookings {

struct CachedBookingsOptions {
  // Of every key; two databases behind one cache need two.
  std::string key_prefix = "bookings";
  // Whose origin loads the settings and services, from the same database. Empty: they are loaded here, as the rest is.
  std::string origin_namespace = {};
  // Whose answers no write makes stale, so that a checker can be seen to find it.
  std::optional<Endpoint> forgotten = {};
};

// Reads through the cache; writes to the database, then invalidates what that made stale, before it answers.
// Thread-safe.
class CachedBookings final : public BookingService {
 public:
  struct Counts {
    std::array<int64_t, kEndpoints> hits{};
    std::array<int64_t, kEndpoints> misses{};        // loaded, by this caller or by one who was quicker
    std::array<int64_t, kEndpoints> origin_loads{};  // misses that the origin was waited for
    int64_t failed_reads = 0;                        // of the cache, each of which became a miss
    int64_t failed_fills = 0;
    int64_t failed_invalidations = 0;
  };

  // Neither is owned; both must outlive this.
  CachedBookings(larder::Cache* cache, SqlBookings* database, CachedBookingsOptions options);

  absl::StatusOr<Settings> GetSettings(int64_t location) override;
  absl::StatusOr<Catalogue> GetCatalogue(int64_t location) override { return catalogue_(location); }
  absl::StatusOr<Service> GetService(const ServiceOfLocation& which) override;
  absl::StatusOr<Availability> GetAvailability(const StaffDay& when) override {
    return availability_(when.location, when.staff, when.day);
  }
  absl::StatusOr<Dashboard> GetDashboard(int64_t location) override { return dashboard_(location); }
  absl::StatusOr<Report> GetReport(int64_t location, int64_t year) override { return report_(location, year); }
  absl::StatusOr<TransactionsPage> GetTransactions(const TransactionsQuery& query) override {
    return transactions_(query.location, query.user, query.page);
  }

  absl::StatusOr<Change> Book(const Booking& booking) override;
  absl::StatusOr<Change> Reschedule(const Rescheduling& rescheduling) override;
  absl::StatusOr<Change> Refund(const Cancellation& cancellation) override;
  absl::StatusOr<Change> Reprice(const Repricing& repricing) override;
  absl::StatusOr<Change> Rename(const Renaming& renaming) override;
  absl::StatusOr<Change> SetGrant(const Grant& grant) override;

  Counts counts() const;

 private:
  template <typename Answer, typename... Args>
  using Function = std::function<absl::StatusOr<Answer>(Args...)>;

  larder::CachedOptions Declare(Endpoint endpoint, larder::Ttl ttl, std::vector<std::string> names,
                                std::vector<larder::InvalidateOn> invalidate_on);
  void Count(Endpoint endpoint, const larder::LoadReport& report);

  template <typename Answer>
  absl::StatusOr<Answer> ReadThrough(Endpoint endpoint, const std::string& key);

  absl::StatusOr<Change> Write(absl::FunctionRef<absl::StatusOr<Change>()> write);
  absl::Status InvalidateInOrigin(const Change& change);

  larder::Cache& cache_;
  SqlBookings& database_;
  const CachedBookingsOptions options_;

  const Function<Settings, int64_t> settings_;
  const Function<Catalogue, int64_t> catalogue_;
  const Function<Service, int64_t, int64_t> service_;
  const Function<Availability, int64_t, int64_t, int64_t> availability_;
  const Function<Dashboard, int64_t> dashboard_;
  const Function<Report, int64_t, int64_t> report_;
  const Function<TransactionsPage, int64_t, int64_t, int64_t> transactions_;

  EndpointCounters hits_;
  EndpointCounters misses_;
  EndpointCounters origin_loads_;
  std::atomic<int64_t> failed_reads_{0};
  std::atomic<int64_t> failed_fills_{0};
  std::atomic<int64_t> failed_invalidations_{0};
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_CACHED_BOOKINGS_H_
